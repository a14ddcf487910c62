//! Commands and answers as a TPM takes and gives them (TPM 2.0 Library, Part 1, 18; Part 3, 5).

use super::Stream;
use crate::platform::{PlatformError, io};
use std::time::Duration;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// The session of an empty password (`TPM_RS_PW`): handle, nonce, attributes, password; its length before it.
const EMPTY_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
/// Tag, length, code.
const HEADER: usize = 10;
/// Bytes of an answer, at most, as Linux's driver has it.
const MAX_ANSWER: usize = 4096;
/// The TPM asks to be asked again (`TPM_RC_RETRY`, `TPM_RC_YIELDED`, `TPM_RC_TESTING`, `TPM_RC_NV_RATE`).
const AGAIN: [u32; 4] = [0x922, 0x908, 0x90A, 0x920];
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// For its errors.
pub(super) struct Named(&'static str);
pub(super) const TPM: Named = Named("the TPM");

impl Named {
    pub(super) fn wrong(&self, problem: impl Into<String>) -> PlatformError {
        PlatformError::Answer { platform: self.0, problem: problem.into() }
    }
}

/// A command that is being put together.
pub(crate) struct Command {
    tag: u16,
    code: u32,
    body: Vec<u8>,
}

impl Command {
    pub(crate) fn plain(code: u32) -> Self {
        Self { tag: NO_SESSIONS, code, body: Vec::new() }
    }

    /// A command on an object, with its empty password.
    pub(crate) fn authorised(code: u32, handle: u32) -> Self {
        Self::by(code, &[handle], &EMPTY_PASSWORD)
    }

    /// A command on an index of the non-volatile memory, by the index's own empty password.
    pub(super) fn on_index(code: u32, index: u32) -> Self {
        Self::by(code, &[index, index], &EMPTY_PASSWORD)
    }

    /// A command on an object, by a policy session that fulfils the object's policy. It goes on after the command.
    pub(super) fn by_policy(code: u32, handle: u32, session: u32) -> Self {
        let [a, b, c, d] = session.to_be_bytes();
        // Length; session, no nonce, "continue", no code.
        Self::by(code, &[handle], &[0, 0, 0, 9, a, b, c, d, 0, 0, 1, 0, 0])
    }

    fn by(code: u32, handles: &[u32], session: &[u8]) -> Self {
        let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
        body.extend(session);
        Self { tag: SESSIONS, code, body }
    }

    /// A structure within a command.
    pub(crate) fn part() -> Self {
        Self::plain(0)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.body
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.body.extend(bytes);
        self
    }

    pub(crate) fn be16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn be32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes with their length, 16 bits of it, before them.
    pub(crate) fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.be16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).raw(bytes)
    }

    /// What the TPM answers.
    pub(super) fn send(self, stream: &mut dyn Stream) -> Result<Answer, PlatformError> {
        let code = self.code;
        // No TPM fails by success.
        self.send_unless(stream, 0)?.ok_or_else(|| TPM.wrong(format!("nothing to {code:#x}")))
    }

    /// As [`send`](Self::send); `None` where it answers by this code.
    pub(super) fn send_unless(
        self,
        stream: &mut dyn Stream,
        none: u32,
    ) -> Result<Option<Answer>, PlatformError> {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        let mut command = self.tag.to_be_bytes().to_vec();
        command.extend(length.to_be_bytes());
        command.extend(self.code.to_be_bytes());
        command.extend(self.body);
        for _ in 0..ATTEMPTS {
            // At once: a device takes a command by one call.
            stream.write_all(&command).map_err(io("write to the TPM"))?;
            let answer = Answer::receive(stream)?;
            match answer.code {
                0 if answer.tag == self.tag => return Ok(Some(answer)),
                code if code != 0 && code == none => return Ok(None),
                code if AGAIN.contains(&code) => std::thread::sleep(PAUSE),
                code => {
                    return Err(TPM.wrong(format!("code {code:#x} to command {:#x}", self.code)));
                }
            }
        }
        Err(TPM.wrong(format!("\"later\" {ATTEMPTS} times")))
    }
}

/// An answer, read from its front.
pub(super) struct Answer {
    tag: u16,
    code: u32,
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn receive(stream: &mut dyn Stream) -> Result<Self, PlatformError> {
        let mut bytes = vec![0; MAX_ANSWER];
        let mut filled = 0;
        let length = loop {
            let into = bytes.get_mut(filled..).unwrap_or_default();
            let read = stream.read(into).map_err(io("read from the TPM"))?;
            filled += read;
            let length = bytes.get(2..6).and_then(|length| length.first_chunk());
            let length = length.map_or(0, |length| u32::from_be_bytes(*length) as usize);
            if read == 0 || (filled >= HEADER && filled >= length) {
                break length;
            }
        };
        if filled != length || length < HEADER {
            return Err(TPM.wrong("an answer of another length than it says"));
        }
        bytes.truncate(filled);
        let mut answer = Self { tag: 0, code: 0, bytes, at: 0 };
        answer.tag = answer.be16()?;
        answer.be32()?;
        answer.code = answer.be32()?;
        Ok(answer)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], PlatformError> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.get(..length));
        self.at = self.at.saturating_add(length);
        found.ok_or_else(|| TPM.wrong("an answer that ends too early"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, PlatformError> {
        Ok(self.take(1)?.iter().fold(0, |_, byte| *byte))
    }

    pub(super) fn be16(&mut self) -> Result<u16, PlatformError> {
        Ok(self.take(2)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    pub(super) fn be32(&mut self) -> Result<u32, PlatformError> {
        Ok(self.take(4)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Bytes with their length before them.
    pub(super) fn sized(&mut self) -> Result<&[u8], PlatformError> {
        let length = self.be16()?;
        self.take(length.into())
    }

    /// Enters the parameters of an authorised command's answer: their length comes before them, the session's part after.
    pub(super) fn parameters(&mut self) -> Result<(), PlatformError> {
        let length = self.be32()? as usize;
        let end = self.at.saturating_add(length);
        if end > self.bytes.len() {
            return Err(TPM.wrong("an answer that ends too early"));
        }
        self.bytes.truncate(end);
        Ok(())
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}
