//! The sealing key: a code (HMAC) by a key that never leaves the TPM and works only while registers 0 to 9 stand as they do.
//!
//! The key is a primary key of the owner's hierarchy, so nothing of it is stored and nothing can be put back. Its policy names the
//! registers' values: with other values the template is another one, and so is the key; and the key of these values answers to nobody
//! while the registers have others.

use super::command::{Command, TPM};
use super::{CREATE_PRIMARY, NULL, OWNER, SHA256, Stream, flush, selection};
use crate::platform::PlatformError;
use adyton_wire::{digest, random_bytes};
use zeroize::Zeroizing;

/// Firmware, its settings, loader, kernel and command line. Register 10 (Linux's IMA) grows while the system runs, and those after it
/// are the system's to use: state would be lost at a restart.
pub(super) const BOOT: [u8; 3] = [0xFF, 0x03, 0x00];

const START_SESSION: u32 = 0x176;
const POLICY_PCR: u32 = 0x17F;
const POLICY_DIGEST: u32 = 0x189;
const HMAC: u32 = 0x155;
const NOBODY: u32 = 0x4000_0007;
const POLICY: u8 = 1;
const KEYED_HASH: u16 = 0x0008;
const HMAC_SCHEME: u16 = 0x0005;
/// `TPMA_OBJECT`: made in this TPM and bound to it, without lockout, makes codes; by its policy alone, since no password may use it.
const CODING: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 18;

/// The sealing key under the present registers, for the counter that began at `base`.
pub(super) fn derive(
    stream: &mut dyn Stream,
    base: u64,
) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
    let session = Session::of_boot(stream)?;
    let policy = session.policy(stream);
    let code = policy.and_then(|policy| coded(stream, session.0, &policy, base));
    let ended = flush(stream, session.0);
    let code = code?;
    ended?;
    Ok(Zeroizing::new(digest::tagged("adyton/v1/tpm-sealing-key", &[code.as_slice()])))
}

/// A policy session that was shown the registers.
pub(super) struct Session(pub(super) u32);

impl Session {
    pub(super) fn of_boot(stream: &mut dyn Stream) -> Result<Self, PlatformError> {
        let mut command = Command::plain(START_SESSION);
        // No salt, bound to nothing, nothing encrypted.
        command.be32(NOBODY).be32(NOBODY).sized(&random_bytes::<16>()?).sized(&[]);
        command.raw(&[POLICY]).be16(NULL).be16(SHA256);
        let session = Self(command.send(stream)?.be32()?);
        let mut command = Command::plain(POLICY_PCR);
        // No digest: the TPM takes the registers as they are.
        command.be32(session.0).sized(&[]);
        selection(&mut command, BOOT);
        if let Err(error) = command.send(stream) {
            flush(stream, session.0)?;
            return Err(error);
        }
        Ok(session)
    }

    /// What a key's policy must be so that this session fulfils it.
    pub(super) fn policy(&self, stream: &mut dyn Stream) -> Result<Vec<u8>, PlatformError> {
        let mut command = Command::plain(POLICY_DIGEST);
        command.be32(self.0);
        Ok(command.send(stream)?.sized()?.to_vec())
    }
}

/// The code of `base` by the key of this policy.
pub(super) fn coded(
    stream: &mut dyn Stream,
    session: u32,
    policy: &[u8],
    base: u64,
) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
    let mut public = Command::part();
    public.be16(KEYED_HASH).be16(SHA256).be32(CODING).sized(policy);
    public.be16(HMAC_SCHEME).be16(SHA256).sized(&[]);
    let mut command = Command::authorised(CREATE_PRIMARY, OWNER);
    command.sized(&[0; 4]).sized(&public.finish()).sized(&[]).be32(0);
    let key = command.send(stream)?.be32()?;
    let mut command = Command::by_policy(HMAC, key, session);
    command.sized(&base.to_be_bytes()).be16(SHA256);
    let code = command.send(stream).and_then(|mut answer| {
        answer.parameters()?;
        answer.sized().map(|code| Zeroizing::new(code.to_vec()))
    });
    let flushed = flush(stream, key);
    let code = code?;
    flushed?;
    if code.len() == 32 {
        Ok(code)
    } else {
        Err(TPM.wrong("a code of another length than SHA-256's"))
    }
}
