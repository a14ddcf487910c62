//! A TPM 2.0: a quote of its registers over the report data (TPM 2.0 Library, Part 3).
//!
//! The attestation key is a primary key of the owner's hierarchy, which a TPM derives anew from its seed each time: the same until
//! the TPM is cleared, with nothing to store. Verifiers pin it, or the authority that certified it. The sealing key is made of another
//! such key, which works only while the registers of the boot stand as they do ([`secret`]); the counter is the TPM's own ([`counter`]).

pub(crate) mod command;
mod counter;
mod secret;

use crate::hardware::Provider;
use crate::platform::{EvidenceProvider, PlatformError, io};
use adyton_wire::digest;
use command::{Answer, Command, TPM};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Where Linux has it, its resource manager before it.
pub(crate) const DEVICE: &str = "/dev/tpmrm0";
/// The registers quoted, of the SHA-256 bank: those of firmware, loader and operating system.
pub(crate) const REGISTERS: [u8; 3] = [0xFF, 0xFF, 0x00];
pub(crate) const COUNT: usize = 16;
/// Attempts when a register changes while it is read.
const ATTEMPTS: usize = 4;

const OWNER: u32 = 0x4000_0001;
const CREATE_PRIMARY: u32 = 0x131;
const QUOTE: u32 = 0x158;
const FLUSH_CONTEXT: u32 = 0x165;
const PCR_READ: u32 = 0x17E;
const SHA256: u16 = 0x000B;
pub(crate) const NULL: u16 = 0x0010;
pub(crate) const ECDSA: u16 = 0x0018;
pub(crate) const ECC: u16 = 0x0023;
const P256: u16 = 0x0003;
/// `TPMA_OBJECT`: made in this TPM and bound to it, used with its (empty) password, without lockout, signs and signs nothing from
/// outside that looks like the TPM's own.
pub(crate) const SIGNING: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 18;

/// A device or a socket.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A TPM.
pub(crate) struct Tpm {
    stream: Mutex<Box<dyn Stream>>,
}

impl Tpm {
    /// Opens a device, or the socket of a software TPM.
    pub(crate) fn open(path: &Path) -> Result<Self, PlatformError> {
        let socket = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
        let stream: Box<dyn Stream> = if socket {
            Box::new(UnixStream::connect(path).map_err(io("reach the TPM's socket"))?)
        } else {
            let device = OpenOptions::new().read(true).write(true).open(path);
            Box::new(device.map_err(io("open the TPM's device"))?)
        };
        Ok(Self { stream: Mutex::new(stream) })
    }
}

impl EvidenceProvider for Tpm {
    fn kind(&self) -> &'static str {
        "tpm"
    }

    /// Over SHA-256 of the report data, since a TPM need not take more.
    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key::create(stream.as_mut())?;
        let quoted = key.evidence(stream.as_mut(), &digest::sha256(report_data));
        let flushed = key.flush(stream.as_mut());
        let evidence = quoted?;
        flushed.map(|()| evidence)
    }
}

impl Provider for Tpm {
    /// Of the registers of the boot, and of where the counter began: whoever moves that beginning has another key.
    fn secret(&self) -> Result<Option<Zeroizing<[u8; 32]>>, PlatformError> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let base = counter::base(stream.as_mut())?;
        secret::derive(stream.as_mut(), base).map(Some)
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        counter::read(stream.as_mut()).map(Some)
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        counter::advance(stream.as_mut(), to)
    }
}

/// The attestation key, loaded.
struct Key {
    handle: u32,
    /// `TPM2B_PUBLIC`.
    public: Vec<u8>,
}

/// A quote: `TPMS_ATTEST` and `TPMT_SIGNATURE`.
type Quoted = (Vec<u8>, Vec<u8>);

impl Key {
    fn create(stream: &mut dyn Stream) -> Result<Self, PlatformError> {
        let mut public = Command::part();
        public.be16(ECC).be16(SHA256).be32(SIGNING).sized(&[]);
        // Symmetric: none. Scheme: ECDSA by SHA-256. Curve. Key derivation: none. The point: the TPM's to choose.
        public.be16(NULL).be16(ECDSA).be16(SHA256).be16(P256).be16(NULL).sized(&[]).sized(&[]);
        let mut command = Command::authorised(CREATE_PRIMARY, OWNER);
        // No password and no data of ours; no outside info, no registers.
        command.sized(&[0; 4]).sized(&public.finish()).sized(&[]).be32(0);
        let mut answer = command.send(stream)?;
        let handle = answer.be32()?;
        answer.parameters()?;
        let public = answer.sized()?;
        let length = u16::try_from(public.len()).unwrap_or(u16::MAX).to_be_bytes();
        Ok(Self { handle, public: [length.as_slice(), public].concat() })
    }

    /// The verifiers' bundle. Registers may change between quote and reading: then both are made again.
    fn evidence(&self, stream: &mut dyn Stream, data: &[u8]) -> Result<Vec<u8>, PlatformError> {
        for _ in 0..ATTEMPTS {
            let (before, values) = registers(stream)?;
            let (message, signature) = self.quote(stream, data)?;
            if registers(stream)?.0 == before {
                return Ok(bundle(&message, &signature, &self.public, &values));
            }
        }
        Err(TPM.wrong("registers that changed at every attempt"))
    }

    fn quote(&self, stream: &mut dyn Stream, data: &[u8]) -> Result<Quoted, PlatformError> {
        let mut command = Command::authorised(QUOTE, self.handle);
        command.sized(data).be16(NULL);
        selection(&mut command, REGISTERS);
        let mut answer = command.send(stream)?;
        answer.parameters()?;
        let message = answer.sized()?.to_vec();
        Ok((message, answer.rest().to_vec()))
    }

    fn flush(&self, stream: &mut dyn Stream) -> Result<(), PlatformError> {
        flush(stream, self.handle)
    }
}

/// Unloads an object or ends a session.
fn flush(stream: &mut dyn Stream, handle: u32) -> Result<(), PlatformError> {
    let mut command = Command::plain(FLUSH_CONTEXT);
    command.be32(handle);
    command.send(stream).map(|_| ())
}

/// What verifiers take: the message, its signature, the key (`TPM2B_PUBLIC`) and the registers' values.
pub(crate) fn bundle(message: &[u8], signature: &[u8], key: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    let values: Vec<String> = values.iter().map(|value| format!("\"{}\"", hex(value))).collect();
    let (message, signature, ak) = (hex(message), hex(signature), hex(key));
    format!(
        "{{\"message\":\"{message}\",\"signature\":\"{signature}\",\"ak\":\"{ak}\",\"pcrs\":[{}]}}",
        values.join(",")
    )
    .into_bytes()
}

/// `TPML_PCR_SELECTION` of one bank.
fn selection(command: &mut Command, registers: [u8; 3]) {
    command.be32(1).be16(SHA256).raw(&[3]).raw(&registers);
}

/// How often registers changed so far, and the values of those quoted. A TPM gives some at a time.
fn registers(stream: &mut dyn Stream) -> Result<(u32, Vec<Vec<u8>>), PlatformError> {
    let mut wanted = REGISTERS;
    let mut values = Vec::new();
    let mut first = None;
    while wanted != [0; 3] {
        let mut command = Command::plain(PCR_READ);
        selection(&mut command, wanted);
        let answer = command.send(stream)?;
        let (counter, given) = read_values(answer, &mut wanted, &mut values)?;
        let started = *first.get_or_insert(counter);
        if !given || values.len() > COUNT {
            return Err(TPM.wrong("no value of a register of its SHA-256 bank"));
        }
        if counter != started {
            (wanted, values, first) = (REGISTERS, Vec::new(), None);
        }
    }
    Ok((first.unwrap_or_default(), values))
}

/// The counter, and whether any value was given; those given are wanted no more.
fn read_values(
    mut answer: Answer,
    wanted: &mut [u8; 3],
    values: &mut Vec<Vec<u8>>,
) -> Result<(u32, bool), PlatformError> {
    let counter = answer.be32()?;
    if answer.be32()? != 1 || answer.be16()? != SHA256 || answer.byte()? != 3 {
        return Err(TPM.wrong("another selection of registers than asked for"));
    }
    let mut selected = 0;
    for byte in wanted.iter_mut() {
        let given = answer.byte()?;
        if given & !*byte != 0 {
            return Err(TPM.wrong("registers that were not asked for"));
        }
        *byte &= !given;
        selected += given.count_ones();
    }
    if answer.be32()? != selected {
        return Err(TPM.wrong("another number of registers than it says"));
    }
    for _ in 0..selected {
        values.push(answer.sized()?.to_vec());
    }
    Ok((counter, selected > 0))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
