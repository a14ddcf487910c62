//! What an owner demands, from the command line.

use crate::args::Trust;
use crate::error::CliError;
use crate::output;
use adyton_attest::{AppraisalPolicy, Measurement, VerifiedEnclave};
use adyton_client::transport::Host;
use adyton_client::trust::Challenge;

/// The policy that the flags describe. Without flags it accepts nothing.
pub(crate) fn policy(trust: &Trust) -> Result<AppraisalPolicy, CliError> {
    let measurements = trust
        .measurements
        .iter()
        .map(|hex| {
            Measurement::from_hex(hex).ok_or_else(|| CliError::Argument {
                what: "--measurement",
                value: hex.clone(),
                reason: "expected the hexadecimal digits that `adyton evidence show` prints".into(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(if trust.allow_simulated {
        AppraisalPolicy::simulated(measurements)
    } else {
        AppraisalPolicy { measurements, ..AppraisalPolicy::default() }
    })
}

/// Challenges the enclave behind the host and appraises its evidence.
pub(crate) async fn challenge(host: &Host, trust: &Trust) -> Result<VerifiedEnclave, CliError> {
    let policy = policy(trust)?;
    let challenge = Challenge::new().map_err(CliError::part("cannot challenge the enclave"))?;
    let evidence = super::evidence(host, &challenge).await?;
    appraise(challenge, &evidence, &policy)
}

/// Appraises evidence and says so when it is simulated.
pub(crate) fn appraise(
    challenge: Challenge,
    evidence: &[u8],
    policy: &AppraisalPolicy,
) -> Result<VerifiedEnclave, CliError> {
    let enclave = challenge.appraise(evidence, policy).map_err(|error| {
        CliError::part("nothing was sealed to this enclave")(error).hint(
            "name the measurement that you expect with --measurement (compare it with a build of your own); \
             simulated evidence is refused unless --allow-simulated is given",
        )
    })?;
    if enclave.claims().simulated {
        output::note(SIMULATED);
    }
    Ok(enclave)
}

/// Said wherever simulated evidence was accepted.
pub(crate) const SIMULATED: &str =
    "WARNING: the enclave's evidence is SIMULATED. It proves nothing; use it to try things out.";
