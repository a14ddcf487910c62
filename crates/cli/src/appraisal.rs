//! Files to claims: what `evidence verify` and `policy new` share.

use crate::args::Endorsing;
use crate::error::CliError;
use adyton_appraise::policy::MAX_POLICY;
use adyton_appraise::{
    Claims, Endorsements, MAX_EVIDENCE, Policy, TrustStore, UnixTime, Vendor, VerifyError, verify,
};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, CliError> {
    let file = std::fs::File::open(path).map_err(CliError::file("read", path))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(CliError::file("read", path))?;
    if bytes.len() > limit {
        let reason = format!("longer than {limit} bytes");
        return Err(CliError::Content { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// Reads a policy.
pub(crate) fn policy(path: &Path) -> Result<Policy, CliError> {
    let context = format!("{} is no policy", path.display());
    Policy::from_json(&read(path, MAX_POLICY)?).map_err(CliError::part(context))
}

/// The time that the command line names, or now.
pub(crate) fn at(endorsing: &Endorsing) -> Result<UnixTime, CliError> {
    endorsing.at.map_or_else(now, Ok)
}

/// The clock's time.
pub(crate) fn now() -> Result<UnixTime, CliError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map(|now| UnixTime(now.as_secs())).map_err(CliError::part("the clock stands before 1970"))
}

/// Verifies evidence with what the command line names: the outer error is about the files, the inner one about what they say.
pub(crate) fn claims(
    evidence: &[u8],
    endorsing: &Endorsing,
    at: UnixTime,
) -> Result<Result<Claims, VerifyError>, CliError> {
    Ok(verify(evidence, &endorsements(endorsing)?, &roots(endorsing)?, at))
}

/// Collateral and certificates that the command line names.
pub(crate) fn endorsements(endorsing: &Endorsing) -> Result<Endorsements, CliError> {
    let all = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| read(path, MAX_EVIDENCE)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Endorsements {
        collateral: all(&endorsing.collateral)?,
        certificates: all(&endorsing.certificates)?,
    })
}

/// The vendors' roots, and those that the command line names.
pub(crate) fn roots(endorsing: &Endorsing) -> Result<TrustStore, CliError> {
    let mut roots = TrustStore::production();
    for (vendor, path) in &endorsing.roots {
        let file = read(path, MAX_EVIDENCE)?;
        // The vendors' own roots are compiled in, so another one is somebody's for tests.
        let test = *vendor != Vendor::Tpm;
        let context = format!("{} is no root", path.display());
        roots = roots
            .with_file(*vendor, &path.display().to_string(), &file, test)
            .map_err(CliError::part(context))?;
    }
    Ok(roots)
}
