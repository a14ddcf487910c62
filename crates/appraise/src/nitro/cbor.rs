//! A look over CBOR (RFC 8949) before anything of it is decoded: is it well formed, and small enough in every respect?

/// Items within items, at most: a tag, an array, a map, an array in it, and one more.
const MAX_DEPTH: u32 = 5;
/// Items, at most. A document of 32 registers and 16 certificates has about 120.
const MAX_ITEMS: u32 = 512;

/// Length of the one item that `bytes` start with. `None` when it is cut short, not well formed, nested deeper than any
/// Nitro document, or of more parts; strings in pieces are refused too, since no document has them.
pub(super) fn item_length(bytes: &[u8]) -> Option<usize> {
    let mut scan = Scan { rest: bytes, items: 0 };
    scan.item(0)?;
    bytes.len().checked_sub(scan.rest.len())
}

struct Scan<'a> {
    rest: &'a [u8],
    items: u32,
}

impl Scan<'_> {
    /// Skips `length` bytes.
    fn skip(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    /// The argument of a head (RFC 8949, section 3); `None` within for "indefinite".
    fn argument(&mut self, additional: u8) -> Option<Option<u64>> {
        let length = match additional {
            0..=23 => return Some(Some(u64::from(additional))),
            24..=27 => 1 << (additional - 24),
            31 => return Some(None),
            _ => return None,
        };
        let (argument, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Some(argument.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte))))
    }

    fn item(&mut self, depth: u32) -> Option<()> {
        self.items += 1;
        if depth > MAX_DEPTH || self.items > MAX_ITEMS {
            return None;
        }
        let (&head, rest) = self.rest.split_first()?;
        self.rest = rest;
        let argument = self.argument(head & 31)?;
        match (head >> 5, argument) {
            (0 | 1, Some(_)) => Some(()),
            (2 | 3, Some(length)) => self.skip(length),
            (4, Some(count)) => (0..count).try_for_each(|_| self.item(depth + 1)),
            (5, Some(count)) => (0..count.checked_mul(2)?).try_for_each(|_| self.item(depth + 1)),
            (4, None) => self.until_break(depth, 1),
            (5, None) => self.until_break(depth, 2),
            (6, Some(_)) => self.item(depth + 1),
            // Simple values and floating-point numbers; a break is none of them.
            (7, Some(_)) => Some(()),
            _ => None,
        }
    }

    /// Items up to a break, in groups.
    fn until_break(&mut self, depth: u32, group: u32) -> Option<()> {
        while *self.rest.first()? != 0xff {
            (0..group).try_for_each(|_| self.item(depth + 1))?;
        }
        self.skip(1)
    }
}

#[cfg(test)]
mod tests {
    use super::item_length;

    #[test]
    fn items_are_measured() {
        for (bytes, length) in [
            (&[0x00, 0xaa][..], 1),
            (&[0x1b, 0, 0, 0, 0, 0, 0, 0, 1], 9),
            (&[0x42, 1, 2, 3], 3),
            (&[0x82, 0x01, 0x41, 0xff, 9], 4),
            (&[0xbf, 0x61, b'a', 0x01, 0xff, 9], 5),
            (&[0xd2, 0x80], 2),
            (&[0xf6], 1),
        ] {
            assert_eq!(item_length(bytes), Some(length), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_not_well_formed_or_too_much_is_refused() {
        let deep = [0x81; 4096];
        let wide = [vec![0x99, 0x10, 0x00], vec![0; 4096]].concat();
        let endless = [vec![0x9f], vec![0; 4096], vec![0xff]].concat();
        for bytes in [
            &[][..],
            &[0x42, 1],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x5f, 0x41, 1, 0xff],
            &[0xbf, 0x01, 0xff],
            &[0x9f, 0x01],
            &[0x1c],
            &[0x1f],
            &[0xff],
            &deep,
            &wide,
            &endless,
        ] {
            assert_eq!(item_length(bytes), None, "{:x?}", bytes.get(..8));
        }
    }
}
