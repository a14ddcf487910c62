//! Deployments: registration with the enclave, and what data owners need to know about them.

use adyton_rpc::v1::{
    Deployment, ListDeploymentsReply, ObjectKind, RegisterDeploymentReply,
    RegisterDeploymentRequest,
};
use adyton_rpc::{HostProblem, MAX_MESSAGE};
use adyton_wire::message::RegisterDeployment;
use adyton_wire::{Problem as SharedProblem, Request, Response};

use crate::core::{Core, LoadedProgram, unix_ms};
use crate::error::HostError;
use crate::link::LinkError;
use crate::metrics::{Party, Payload};
use crate::service::{id, objects};
use crate::store::hex;
use crate::store::meta::Id;
use crate::store::record::DeploymentRecord;

/// Registers a deployment: checks what the host can check, relays, and keeps the enclave's statement.
pub(crate) async fn register(
    core: &Core,
    request: RegisterDeploymentRequest,
) -> Result<RegisterDeploymentReply, HostError> {
    let length = request.registration_message.len();
    core.metrics.carried((Party::ModelOwner, Party::Host, Payload::Deployment), length);
    debug_assert!(length <= MAX_MESSAGE);
    let registration = RegisterDeployment::decode(&request.registration_message)?;
    drop(request.registration_message);
    let statement = registration.statement.verify_self()?;
    let deployment = statement.id();

    let program = core.program(statement.program.0).await?;
    if adyton_wire::digest::sha256(&registration.program) != program.object {
        let message = "the registration carries another program than its statement names";
        return Err(HostError::refused(SharedProblem::BadProgram, message));
    }
    let model = id("model object id", &request.model)?;
    if model != statement.model.0 {
        let message = "the deployment statement names another model object";
        return Err(HostError::refused(SharedProblem::WrongContext, message));
    }
    check_model(core, &program, model)?;
    core.groups_at_once(&program, 1)?;

    let signed = registration.statement.encode();
    let name = program.verified.program().name.clone();
    let Response::DeploymentRegistered(registered) =
        core.ask(Request::RegisterDeployment(registration)).await?
    else {
        return Err(LinkError::Unexpected.into());
    };
    let said = registered.unverified()?;
    if said.deployment != deployment || said.program != statement.program {
        return Err(LinkError::Unexpected.into());
    }
    let registered = registered.encode();
    let record = DeploymentRecord {
        program: statement.program.0.to_vec(),
        program_object: program.object.to_vec(),
        model_object: model.to_vec(),
        name,
        statement: signed,
        registered: registered.clone(),
        created_unix_ms: unix_ms(),
        ..DeploymentRecord::default()
    };
    core.meta.put_deployment(deployment.0, record).await?;
    tracing::info!(%deployment, program = %statement.program, "deployment registered");
    core.metrics.carried((Party::Host, Party::ModelOwner, Payload::Deployment), registered.len());
    Ok(RegisterDeploymentReply { registered_message: registered.into() })
}

/// The model must be stored, be a model, and belong to the program; its length and header were checked when it came.
fn check_model(core: &Core, program: &LoadedProgram, model: Id) -> Result<(), HostError> {
    let record = core.objects.record(model)?.ok_or_else(|| objects::unknown_object(model))?;
    if record.kind != ObjectKind::Model as i32 {
        let message = format!("object {} is no model", hex(&model));
        return Err(HostError::refused(HostProblem::WrongKind, message));
    }
    if record.program != program.verified.id() {
        let message = format!("model {} belongs to another program", hex(&model));
        return Err(HostError::refused(HostProblem::WrongProgram, message));
    }
    Ok(())
}

/// All deployments.
pub(crate) fn list(core: &Core) -> Result<ListDeploymentsReply, HostError> {
    let deployments = core.meta.deployments()?.into_iter().map(|(id, record)| Deployment {
        deployment: id.to_vec().into(),
        program: record.program.into(),
        program_object: record.program_object.into(),
        model_object: record.model_object.into(),
        name: record.name,
        registered_message: record.registered.into(),
        created_unix_ms: record.created_unix_ms,
        deployment_message: record.statement.into(),
    });
    Ok(ListDeploymentsReply { deployments: deployments.collect() })
}
