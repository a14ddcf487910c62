//! Objects of a task, from the host to files.

use crate::error::CliError;
use adyton_auditor::{Executed, Sources, Task};
use adyton_client::transport::Host;
use adyton_program::bundle::{BundleError, BundleShape};
use adyton_wire::ObjectId;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};

/// Objects that are kept for the next task: a model and the keys of some sessions.
const KEPT: usize = 4;
/// Memory of a reader of objects.
const BUFFER: usize = 1 << 20;

/// Objects that were fetched, in temporary files. Their digests are checked whenever they are read.
#[derive(Default)]
pub(super) struct Fetched(Vec<(ObjectId, File)>);

impl Fetched {
    /// Fetches what the task needs and is not there, and executes it.
    pub(super) async fn execute(
        &mut self,
        host: &Host,
        task: &Task,
        threads: usize,
    ) -> Result<Executed, CliError> {
        let (program, wanted) = (task.program(), task.wanted());
        let length = |shape: Result<BundleShape, BundleError>| {
            shape.map(|shape| shape.total_len()).map_err(CliError::part("the task is malformed"))
        };
        let model = self.get(host, wanted.model, length(BundleShape::model(program))?).await?;
        let keys = self.get(host, wanted.keys, length(BundleShape::keys(program))?).await?;
        let inputs = length(BundleShape::inputs(program, wanted.job.groups))?;
        let input = download(host, wanted.job.input, inputs).await?;
        let sources = Sources { model: read(model)?, keys: read(keys)?, input: read(input)? };
        let executed = tokio::task::block_in_place(|| task.execute(sources, threads));
        if executed.is_err() {
            // Whatever was wrong with them, they are fetched anew.
            self.0.clear();
        }
        executed.map_err(CliError::part("the job cannot be executed"))
    }

    async fn get(&mut self, host: &Host, object: ObjectId, length: u64) -> Result<File, CliError> {
        let handle = |file: &File| file.try_clone().map_err(CliError::part("a temporary file"));
        if let Some(at) = self.0.iter().position(|(kept, _)| *kept == object) {
            // The one that was used last goes last: a model is used more often than a session's keys.
            let (_, file) = self.0.remove(at);
            let own = handle(&file)?;
            self.0.push((object, file));
            return Ok(own);
        }
        let file = download(host, object, length).await?;
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        let own = handle(&file)?;
        self.0.push((object, file));
        Ok(own)
    }
}

async fn download(host: &Host, object: ObjectId, length: u64) -> Result<File, CliError> {
    let file = tempfile::tempfile().map_err(CliError::part("no temporary file"))?;
    let mut output = BufWriter::new(file);
    host.get_object(&object, length, &mut output)
        .await
        .map_err(CliError::part(format!("object {object} cannot be had")))?;
    output.flush().map_err(CliError::part("a temporary file"))?;
    let file = output.into_inner().map_err(std::io::IntoInnerError::into_error);
    file.map_err(CliError::part("a temporary file"))
}

/// From the first byte on.
fn read(mut file: File) -> Result<BufReader<File>, CliError> {
    file.rewind().map_err(CliError::part("a temporary file"))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}
