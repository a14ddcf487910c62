//! AWS Nitro enclaves through the Nitro Secure Module's device (`/dev/nsm`): CBOR in, CBOR out (RFC 8949; the messages are those of
//! AWS's `aws-nitro-enclaves-nsm-api`).

use crate::hardware::Provider;
use crate::platform::{EvidenceProvider, PlatformError, io};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Where Linux has it.
pub(crate) const DEVICE: &str = "/dev/nsm";
/// Bytes of an answer, at most: the device's own bound.
const MAX_ANSWER: usize = 0x3000;

/// The module: takes a request, gives an answer.
pub(crate) trait Module: Send + Sync {
    fn ask(&self, request: &[u8]) -> Result<Vec<u8>, PlatformError>;
}

/// Nitro's attestation.
pub(crate) struct Nitro<M>(M);

impl Nitro<Device> {
    pub(crate) fn open(device: &Path) -> Result<Self, PlatformError> {
        let file = OpenOptions::new().read(true).write(true).open(device);
        Ok(Self(Device(file.map_err(io("open the Nitro Secure Module"))?)))
    }
}

impl<M: Module> EvidenceProvider for Nitro<M> {
    fn kind(&self) -> &'static str {
        "nitro"
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        document(&self.0.ask(&request(report_data))?)
    }
}

impl<M: Module> Provider for Nitro<M> {}

/// CBOR's major types, and its `null`.
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;
const NULL: u8 = 0xF6;

fn head(major: u8, value: u8) -> Vec<u8> {
    if value < 24 { vec![major << 5 | value] } else { vec![major << 5 | 24, value] }
}

fn text(text: &str, to: &mut Vec<u8>) {
    to.extend(head(TEXT, text.len().try_into().unwrap_or(u8::MAX)));
    to.extend(text.as_bytes());
}

/// `{"Attestation": {"user_data": report data, "nonce": null, "public_key": null}}`.
fn request(report_data: &[u8; 64]) -> Vec<u8> {
    let mut request = head(MAP, 1);
    text("Attestation", &mut request);
    request.extend(head(MAP, 3));
    text("user_data", &mut request);
    request.extend(head(BYTES, 64));
    request.extend(report_data);
    for absent in ["nonce", "public_key"] {
        text(absent, &mut request);
        request.push(NULL);
    }
    request
}

/// The document of `{"Attestation": {"document": bytes}}`; `{"Error": text}` is the module's refusal.
fn document(answer: &[u8]) -> Result<Vec<u8>, PlatformError> {
    let wrong =
        |problem: String| PlatformError::Answer { platform: "the Nitro Secure Module", problem };
    let mut rest = answer;
    let parsed = (|| {
        (item(&mut rest, MAP)? == 1).then_some(())?;
        let name = string(&mut rest, TEXT)?;
        if name != b"Attestation" {
            let told = string(&mut rest, TEXT).unwrap_or_default();
            return Some(Err([name, b": ", told].concat()));
        }
        (item(&mut rest, MAP)? == 1).then_some(())?;
        (string(&mut rest, TEXT)? == b"document").then_some(())?;
        let document = string(&mut rest, BYTES)?;
        (!document.is_empty() && rest.is_empty()).then(|| Ok(document.to_vec()))
    })();
    match parsed {
        Some(Ok(document)) => Ok(document),
        Some(Err(told)) => Err(wrong(String::from_utf8_lossy(&told).into_owned())),
        None => Err(wrong("something else than an attestation".to_owned())),
    }
}

/// The number in the head of an item of this type, which has a definite length.
fn item(rest: &mut &[u8], major: u8) -> Option<usize> {
    let (first, tail) = rest.split_first()?;
    (first >> 5 == major).then_some(())?;
    let short = first & 0x1F;
    let length = match short {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => return None,
    };
    let (number, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    let number = number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    Some(if length == 0 { usize::from(short) } else { number })
}

fn string<'a>(rest: &mut &'a [u8], major: u8) -> Option<&'a [u8]> {
    let length = item(rest, major)?;
    let (string, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(string)
}

/// The device.
pub(crate) struct Device(File);

/// The driver's only call: `_IOWR(0x0A, 0, struct nsm_raw)`, two buffers of a pointer and a length each
/// (Linux, `include/uapi/linux/nsm.h` and `drivers/misc/nsm.c`).
const IOCTL_RAW: libc::c_ulong = 0xC020_0A00;

impl Module for Device {
    #[allow(unsafe_code, reason = "no safe wrapper of this call exists")]
    fn ask(&self, request: &[u8]) -> Result<Vec<u8>, PlatformError> {
        use std::os::fd::AsRawFd;
        let mut answer = vec![0; MAX_ANSWER];
        let mut buffers = [
            libc::iovec { iov_base: request.as_ptr().cast_mut().cast(), iov_len: request.len() },
            libc::iovec { iov_base: answer.as_mut_ptr().cast(), iov_len: answer.len() },
        ];
        // SAFETY: the descriptor is open as long as `self`. The driver takes two `iovec` in a row, reads the first's buffer, which
        // lives through the call, writes at most `iov_len` bytes to the second's, which nothing else refers to, and sets its length.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), IOCTL_RAW, buffers.as_mut_ptr()) };
        if done != 0 {
            return Err(io("ask the Nitro Secure Module")(std::io::Error::last_os_error()));
        }
        let [_, filled] = buffers;
        answer.truncate(filled.iov_len.min(MAX_ANSWER));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that gives a recorded answer.
    struct Recorded(Vec<u8>);

    impl Module for Recorded {
        fn ask(&self, asked: &[u8]) -> Result<Vec<u8>, PlatformError> {
            // RFC 8949: map(1), "Attestation", map(3), "user_data", bytes(64), …, "nonce", null, "public_key", null.
            let start = b"\xA1\x6BAttestation\xA3\x69user_data\x58\x40";
            let end = b"\x65nonce\xF6\x6Apublic_key\xF6";
            assert_eq!(asked, [start.as_slice(), &[7; 64], end].concat());
            Ok(self.0.clone())
        }
    }

    fn answer(document: &[u8]) -> Vec<u8> {
        let length = u16::try_from(document.len()).unwrap().to_be_bytes();
        [b"\xA1\x6BAttestation\xA1\x68document\x59".as_slice(), &length, document].concat()
    }

    #[test]
    fn a_document_is_asked_for_and_taken_out() {
        // What a module of AWS signed, from the verifier's samples.
        let document =
            include_bytes!("../../appraise/tests/vectors/aws-nitro/nitro_attestation.bin");
        let nitro = Nitro(Recorded(answer(document)));
        assert_eq!(nitro.evidence(&[7; 64]).unwrap(), document);
        assert_eq!(nitro.kind(), "nitro");
    }

    #[test]
    fn other_answers_are_refused() {
        let whole = answer(b"document");
        for end in 0..whole.len() {
            assert!(document(&whole[..end]).is_err(), "{end}");
        }
        assert!(document(&[whole.as_slice(), b"x"].concat()).is_err());
        assert!(document(&answer(b"")).is_err());
        let refused = document(b"\xA1\x65Error\x6DInvalidFormat").unwrap_err();
        assert!(refused.to_string().contains("InvalidFormat"), "{refused}");
        assert!(document(b"\xA1\x6BAttestation\xA1\x68document\x5A\xFF\xFF\xFF\xFF").is_err());
    }

    #[test]
    fn what_is_no_module_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let nitro = Nitro::open(file.path()).unwrap();
        assert!(matches!(nitro.evidence(&[0; 64]), Err(PlatformError::Io { .. })));
    }
}
