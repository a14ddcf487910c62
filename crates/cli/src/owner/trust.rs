//! What an owner demands, from the command line.

use crate::appraisal;
use crate::args;
use crate::error::CliError;
use crate::output;
use adyton_appraise::{Policy, UnixTime};
use adyton_client::ClientError;
use adyton_client::transport::Host;
use adyton_client::trust::{AppraisalError, Challenge, Trust, VerifiedEnclave};

/// What the flags describe, and the time they name. Without flags, nothing is accepted.
pub(crate) fn demanded(args: &args::Trust) -> Result<(Trust, UnixTime), CliError> {
    #[cfg_attr(
        not(feature = "simulated"),
        expect(unused_mut, reason = "only the test roots and their collateral are ever added")
    )]
    let (mut roots, mut endorsements) =
        (appraisal::roots(&args.endorsing)?, appraisal::endorsements(&args.endorsing)?);
    let mut policy = Policy::default();
    #[cfg(feature = "simulated")]
    if args.allow_simulated {
        roots = roots.with_simulated().map_err(CliError::part("the test root"))?;
        endorsements = endorsements.with_simulated();
        policy = Policy::simulated(args.measurements.iter().cloned());
    } else if let Some(measurement) = args.measurements.first() {
        return Err(CliError::Argument {
            what: "--measurement",
            value: measurement.to_string(),
            reason: "it goes with --allow-simulated; what real hardware measures stands in a policy (`adyton policy new`, --policy)"
                .to_owned(),
        });
    }
    if let Some(path) = &args.appraisal {
        policy = appraisal::policy(path)?;
    }
    Ok((Trust { policy, roots, endorsements }, appraisal::at(&args.endorsing)?))
}

/// Challenges the enclave behind the host and appraises its evidence.
pub(crate) async fn challenge(
    host: &Host,
    args: &args::Trust,
) -> Result<VerifiedEnclave, CliError> {
    let (trust, at) = demanded(args)?;
    let challenge = Challenge::new().map_err(CliError::part("cannot challenge the enclave"))?;
    let evidence = super::evidence(host, &challenge).await?;
    appraise(challenge, &evidence, &trust, at)
}

/// Appraises evidence, and says what its reader should know: first of all when it is simulated.
pub(crate) fn appraise(
    challenge: Challenge,
    evidence: &[u8],
    trust: &Trust,
    at: UnixTime,
) -> Result<VerifiedEnclave, CliError> {
    let enclave = challenge.appraise(evidence, trust, at).map_err(|error| {
        let hint = hint(&error);
        CliError::part("nothing was sealed to this enclave")(error).hint(hint)
    })?;
    if enclave.claims().simulated {
        output::note(SIMULATED);
    }
    for warning in enclave.accepted().warnings() {
        output::note(&format!(
            "Warning: {} ({}); {}",
            warning.sentence, warning.code, warning.help
        ));
    }
    Ok(enclave)
}

fn hint(error: &ClientError) -> String {
    let help = match error {
        ClientError::Appraisal(AppraisalError::Verification(error)) => error.help.as_str(),
        _ => "",
    };
    let own = "name the policy that you expect with --policy; simulated evidence is refused unless --allow-simulated is given, with the \
               --measurement that you expect (compare it with a build of your own)";
    if help.is_empty() { own.to_owned() } else { format!("{help}; or: {own}") }
}

/// Said wherever simulated evidence was accepted.
pub(crate) const SIMULATED: &str =
    "WARNING: the enclave's evidence is SIMULATED. It proves nothing; use it to try things out.";
