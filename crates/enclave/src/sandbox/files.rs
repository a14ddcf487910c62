//! Files, by landlock (Linux, Documentation/userspace-api/landlock.rst).

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

use super::SandboxError;

/// The newest interface that this was tried on; what an older kernel lacks of it is left out.
const NEWEST: ABI = ABI::V6;

/// Shuts off all files but those below `paths`, which may be read and written; tells whether the kernel knew all that was asked.
pub(super) fn restrict(paths: &[PathBuf]) -> Result<bool, SandboxError> {
    // `from_all` of the first version is a demand: without it the file system stays open.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(|rules| {
            let rules = rules.set_compatibility(CompatLevel::BestEffort);
            rules.handle_access(AccessFs::from_all(NEWEST))
        })
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(|rules| rules.create())
        .map_err(SandboxError::Files)?;
    let access = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate});
    for path in paths {
        let opened = PathFd::new(path)
            .map_err(|source| SandboxError::Path { path: path.clone(), source })?;
        rules = rules.add_rule(PathBeneath::new(opened, access)).map_err(SandboxError::Files)?;
    }
    let status = rules.restrict_self().map_err(SandboxError::Files)?;
    Ok(status.ruleset == RulesetStatus::FullyEnforced)
}
