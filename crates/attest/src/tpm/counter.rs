//! The counter: an index of the TPM's non-volatile memory that can only be moved forward.
//!
//! A TPM begins a counter above all that it ever had, so one that was removed and made again is never behind. Where ours began stands in a
//! second index. Whoever writes another beginning there has another sealing key ([`secret`](super::secret)), under which no state opens.

use super::command::{Answer, Command, TPM};
use super::{OWNER, SHA256, Stream};
use crate::platform::PlatformError;

/// Of the owner's range, 0x0180_0000 to 0x01BF_FFFF.
pub(super) const COUNTER: u32 = 0x0184_ADE0;
pub(super) const BASE: u32 = COUNTER + 1;

const DEFINE: u32 = 0x12A;
const INCREMENT: u32 = 0x134;
const WRITE: u32 = 0x137;
const READ: u32 = 0x14E;
const READ_PUBLIC: u32 = 0x169;
/// `TPM_RC_HANDLE`, of the first handle: there is no such index.
const NO_INDEX: u32 = 0x18B;
/// `TPMA_NV`: read and written by its (empty) password, without lockout.
const PLAIN: u32 = 1 << 2 | 1 << 18 | 1 << 25;
/// And moves forward only.
const FORWARD: u32 = PLAIN | 1 << 4;
const WRITTEN: u32 = 1 << 29;
/// Bytes of each.
const SIZE: u16 = 8;

/// Where the counter began; makes counter and beginning at first.
pub(super) fn base(stream: &mut dyn Stream) -> Result<u64, PlatformError> {
    if !ready(stream, COUNTER, FORWARD)? {
        increment(stream)?;
    }
    if !ready(stream, BASE, PLAIN)? {
        let now = number(stream, COUNTER)?;
        let mut command = Command::on_index(WRITE, BASE);
        command.sized(&now.to_be_bytes()).be16(0);
        command.send(stream)?;
    }
    number(stream, BASE)
}

/// How far it moved since it began.
pub(super) fn read(stream: &mut dyn Stream) -> Result<u64, PlatformError> {
    let (now, base) = (number(stream, COUNTER)?, number(stream, BASE)?);
    now.checked_sub(base).ok_or_else(|| TPM.wrong("a counter that stands before where it began"))
}

pub(super) fn advance(stream: &mut dyn Stream, to: u64) -> Result<(), PlatformError> {
    let at = read(stream)?;
    if to < at {
        return Err(PlatformError::CounterBackwards { at, to });
    }
    (at..to).try_for_each(|_| increment(stream))
}

fn increment(stream: &mut dyn Stream) -> Result<(), PlatformError> {
    Command::on_index(INCREMENT, COUNTER).send(stream).map(|_| ())
}

/// Whether the index holds a number; defines it where it is not. One of another kind is refused: it might go backwards.
fn ready(stream: &mut dyn Stream, index: u32, attributes: u32) -> Result<bool, PlatformError> {
    let mut command = Command::plain(READ_PUBLIC);
    command.be32(index);
    let Some(mut answer) = command.send_unless(stream, NO_INDEX)? else {
        define(stream, index, attributes)?;
        return Ok(false);
    };
    let found = found(&mut answer, index)?;
    if found & !WRITTEN != attributes {
        return Err(TPM.wrong(format!(
            "with an index {index:#x} of attributes {found:#x} where {attributes:#x} would be right; remove it"
        )));
    }
    Ok(found & WRITTEN != 0)
}

/// The attributes in `TPM2B_NV_PUBLIC`.
fn found(answer: &mut Answer, index: u32) -> Result<u32, PlatformError> {
    let _length = answer.be16()?;
    if answer.be32()? != index || answer.be16()? != SHA256 {
        return Err(TPM.wrong("with another index than asked for"));
    }
    let attributes = answer.be32()?;
    if !answer.sized()?.is_empty() || answer.be16()? != SIZE {
        return Err(TPM.wrong(format!("with an index {index:#x} of another form; remove it")));
    }
    Ok(attributes)
}

fn define(stream: &mut dyn Stream, index: u32, attributes: u32) -> Result<(), PlatformError> {
    let mut public = Command::part();
    public.be32(index).be16(SHA256).be32(attributes).sized(&[]).be16(SIZE);
    let mut command = Command::authorised(DEFINE, OWNER);
    command.sized(&[]).sized(&public.finish());
    command.send(stream).map(|_| ())
}

fn number(stream: &mut dyn Stream, index: u32) -> Result<u64, PlatformError> {
    let mut command = Command::on_index(READ, index);
    command.be16(SIZE).be16(0);
    let mut answer = command.send(stream)?;
    answer.parameters()?;
    let number = answer.sized()?.try_into().map(u64::from_be_bytes);
    number.map_err(|_| TPM.wrong("a number of another length than asked for"))
}
