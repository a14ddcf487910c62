//! Checks the items of a bundle while it is uploaded, so that what is stored can be used.

use std::io::{self, Read};
use std::sync::Arc;

use adyton_ckks::{InputKey, ModelKey, SeededCiphertext};
use adyton_program::VerifiedProgram;
use adyton_program::bundle::{BundleError, BundleKind, BundleReader, BundleShape};
use adyton_wire::Problem as SharedProblem;
use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::error::{HostError, chain};
use adyton_runtime::floats;

/// Chunks that may wait for the check.
const CHUNKS_AHEAD: usize = 2;

/// A check that runs beside an upload.
#[derive(Debug)]
pub(crate) struct Check {
    chunks: Sender<Bytes>,
    outcome: JoinHandle<Result<(), HostError>>,
}

impl Check {
    /// Starts to check a bundle of the given shape.
    pub(crate) fn start(program: Arc<VerifiedProgram>, shape: BundleShape) -> Self {
        let (chunks, received) = channel(CHUNKS_AHEAD);
        let content = Chunks { received, rest: Bytes::new() };
        let outcome = tokio::task::spawn_blocking(move || check(&program, shape, content));
        Self { chunks, outcome }
    }

    /// Hands over the next bytes; false if the check has ended, which `finish` tells more about.
    pub(crate) async fn take(&self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Ends the content and waits for the outcome.
    pub(crate) async fn finish(self) -> Result<(), HostError> {
        drop(self.chunks);
        self.outcome.await?
    }
}

fn check(program: &VerifiedProgram, shape: BundleShape, content: Chunks) -> Result<(), HostError> {
    let kind = shape.kind();
    let mut items = BundleReader::new(shape, content).map_err(cut_short)?;
    let mut index = 0;
    while let Some(item) = items.item().map_err(cut_short)? {
        check_item(program, kind, index, &item).map_err(|reason| {
            HostError::refused(SharedProblem::BadCiphertext, format!("item {index}: {reason}"))
        })?;
        index += 1;
    }
    Ok(())
}

/// Content that ends early is a wrong length to its sender.
fn cut_short(error: BundleError) -> HostError {
    match error {
        BundleError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let message = "the content ends before its announced length";
            HostError::refused(adyton_rpc::HostProblem::WrongLength, message)
        }
        error => error.into(),
    }
}

fn check_item(
    program: &VerifiedProgram,
    kind: BundleKind,
    index: usize,
    item: &[u8],
) -> Result<(), String> {
    let parameters = program.parameters();
    let (level, scale) = match kind {
        BundleKind::EncryptedModel => {
            let found = SeededCiphertext::<ModelKey>::decode(item, parameters);
            let found = found.map_err(|error| chain(&error))?;
            (found.level(), found.scale().clone())
        }
        BundleKind::InputBatch => {
            let found = SeededCiphertext::<InputKey>::decode(item, parameters);
            let found = found.map_err(|error| chain(&error))?;
            (found.level(), found.scale().clone())
        }
        BundleKind::PlainModel if floats(item).iter().all(|value| value.is_finite()) => {
            return Ok(());
        }
        BundleKind::PlainModel => return Err("a weight that is no finite number".to_owned()),
        BundleKind::KeyBundle => return Err("a key where none belongs".to_owned()),
    };
    let expected = match kind {
        BundleKind::InputBatch => Some((parameters.top_level(), &program.program().input.scale)),
        _ => program.program().weights.get(index).map(|weight| (weight.level, &weight.scale)),
    };
    if expected == Some((level, &scale)) {
        Ok(())
    } else {
        Err("another level or scale than the program declares".to_owned())
    }
}

/// Content that comes in chunks, as a reader; blocks.
struct Chunks {
    received: Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.received.blocking_recv() {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        let (part, _) = buffer.split_at_mut(length);
        self.rest.copy_to_slice(part);
        Ok(length)
    }
}
