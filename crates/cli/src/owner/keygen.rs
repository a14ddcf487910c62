//! `adyton keygen`.

use crate::args::Keygen;
use crate::error::CliError;
use crate::output;
use adyton_client::{DataOwner, Identity};
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    public_key: String,
    file: String,
}

/// Makes an identity, or shows one's public key.
pub(crate) fn run(args: &Keygen) -> Result<(), CliError> {
    let (identity, path) = match (&args.output, &args.show) {
        (Some(path), _) => (Identity::create(path), path),
        (None, Some(path)) => (Identity::load(path), path),
        (None, None) => {
            return Err(CliError::Argument {
                what: "keygen",
                value: String::new(),
                reason: "expected -o FILE or --show FILE".into(),
            });
        }
    };
    let identity = identity.map_err(CliError::part("no identity"))?;
    let public_key = DataOwner::new(identity).public_key().to_string();
    if args.json {
        return output::json(&Report { public_key, file: path.display().to_string() });
    }
    if args.output.is_some() {
        output::note(&format!(
            "Made {} (readable by you alone; back it up, whoever has it is you). Its public key, for policies:",
            path.display()
        ));
    }
    output::text(&public_key)
}
