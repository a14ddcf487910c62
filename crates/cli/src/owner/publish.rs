//! `adyton publish`: the model owner.

use super::{Effort, Stopwatch, connect, identity, trust};
use crate::args::Publish;
use crate::error::CliError;
use crate::output;
use crate::program_files::{self, Compiled};
use crate::progress::Progress;
use crate::release::{self, LeakReport};
use adyton_client::transport::Host;
use adyton_client::{ModelOwner, Written};
use adyton_program::VerifiedProgram;
use adyton_rpc::v1::ObjectKind;
use adyton_wire::statement::DataOwners;
use adyton_wire::{ObjectId, ProgramId, digest};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Cursor};

/// What `publish --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishReport {
    /// The deployment's id, for the data owners.
    pub(crate) deployment: String,
    /// The program's id.
    pub(crate) program: String,
    /// The encrypted model's id on the host.
    pub(crate) model: String,
    /// Public key of the model owner.
    pub(crate) owner: String,
    /// Whether the enclave's evidence was simulated.
    pub(crate) simulated_evidence: bool,
    /// Bytes of the encrypted model.
    pub(crate) model_bytes: u64,
    /// What may leak of the model to a host in league with a data owner.
    pub(crate) leak: LeakReport,
    /// Times, bytes, CPU, memory.
    #[serde(flatten)]
    pub(crate) effort: Effort,
}

/// Publishes and prints what came of it.
pub(crate) fn run(args: &Publish) -> Result<(), CliError> {
    let report = super::block_on(publish(args))?;
    if args.json {
        return output::json(&report);
    }
    output::note(&format!(
        "Published program {} with {} of encrypted weights, {} sent.",
        report.program,
        output::bytes(report.model_bytes),
        output::bytes(report.effort.bytes.sent)
    ));
    output::note("The deployment's id, for the data owners:");
    output::text(&report.deployment)
}

async fn publish(args: &Publish) -> Result<PublishReport, CliError> {
    let mut progress = Progress::new();
    let mut watch = Stopwatch::start();
    let policy = release::policy(&args.release)?;
    let Compiled { program, weights } = program_files::load(&args.directory)?;
    release::check(&args.release, &program)?;
    let owner = ModelOwner::new(identity(&args.identity, "model owner")?);
    if policy.owners == DataOwners::Listed(Vec::new()) {
        output::note(
            "Note: no --allow-owner was given, so nobody will be able to use this deployment.",
        );
    }
    let leak = LeakReport::new(&policy, &program);
    // Before anything is encrypted or registered: a policy that one would rather not have can still be changed.
    if !args.json {
        output::note(&leak.sentences().join("\n"));
    }
    watch.lap("load program and weights");

    progress.begin("appraise the enclave");
    let host = connect(&args.connection).await?;
    let enclave = trust::challenge(&host, &args.trust).await?;
    watch.lap("appraise the enclave");

    progress.begin("encrypt the weights");
    let (file, model) = tokio::task::block_in_place(|| -> Result<(File, Written), CliError> {
        let file = tempfile::tempfile().map_err(CliError::part("no temporary file"))?;
        let (writer, model) = owner
            .encrypt_model(&program, weights.vectors(), args.model_key, BufWriter::new(file))
            .map_err(CliError::part("the weights cannot be encrypted"))?;
        let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        Ok((file.map_err(CliError::part("the encrypted model cannot be written"))?, model))
    })?;
    // What is in the clear here goes as early as it can.
    drop(weights);
    watch.lap("encrypt the weights");

    progress.begin("upload the encrypted model");
    upload(&host, &program, file, &model).await?;
    watch.lap("upload the encrypted model");

    progress.begin("register the deployment");
    let registration = owner
        .register(&enclave, &program, model.object, args.model_key, policy)
        .map_err(CliError::part("the registration cannot be made"))?;
    let answer = host
        .register(registration.message().to_vec(), model.object)
        .await
        .map_err(CliError::part("the deployment was not registered"))?;
    let registered = registration
        .confirm(&answer)
        .map_err(CliError::part("the deployment is not registered as it should be"))?;
    watch.lap("register the deployment");
    progress.end(None);

    Ok(PublishReport {
        deployment: registered.deployment.to_string(),
        program: registered.program.to_string(),
        model: model.object.to_string(),
        owner: owner.public_key().to_string(),
        simulated_evidence: enclave.claims().simulated,
        model_bytes: model.length,
        leak,
        effort: Effort::of(watch, &host)?,
    })
}

async fn upload(
    host: &Host,
    program: &VerifiedProgram,
    file: File,
    model: &Written,
) -> Result<(), CliError> {
    let bytes = program.program().encode();
    let id = ObjectId(digest::sha256(&bytes));
    host.put_object(ObjectKind::Program, id, None, Cursor::new(bytes))
        .await
        .map_err(CliError::part("the program was not stored"))?;
    host.put_object(ObjectKind::Model, model.object, Some(ProgramId(program.id())), file)
        .await
        .map_err(CliError::part("the encrypted model was not stored"))?;
    Ok(())
}
