//! `adyton measure`: what evidence of an enclave's program must name.

mod image;

use crate::args::Measure;
use crate::error::CliError;
use crate::output::{self, Table};
use crate::process::Sibling;
use adyton_appraise::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384};
use std::path::Path;

#[derive(Serialize)]
struct Report {
    program: String,
    bytes: u64,
    sha256: Bytes,
    sha384: Bytes,
    platforms: Vec<Expected>,
}

/// What a platform's evidence will name.
#[derive(Serialize)]
struct Expected {
    platform: &'static str,
    /// The claim that a policy is held to.
    claim: &'static str,
    /// `None` where the program alone does not decide it.
    value: Option<Bytes>,
    /// What the value is, or who computes it.
    how: &'static str,
}

/// Measures the image or the program that was named, or the program beside this one.
pub(crate) fn run(args: &Measure) -> Result<(), CliError> {
    if let Some(image) = image::measure(args)? {
        return if args.json { output::json(&image) } else { output::text(&image.render()) };
    }
    let path = match &args.program {
        Some(path) => path.clone(),
        None => Sibling::Enclave.find()?,
    };
    let report = measure(&path)?;
    if args.json { output::json(&report) } else { output::text(&report.render()) }
}

fn measure(path: &Path) -> Result<Report, CliError> {
    let program = std::fs::read(path).map_err(CliError::file("read", path))?;
    let sha384 = Bytes::from(<[u8; 48]>::from(Sha384::digest(&program)));
    Ok(Report {
        program: path.display().to_string(),
        bytes: program.len() as u64,
        sha256: Bytes::from(<[u8; 32]>::from(Sha256::digest(&program))),
        platforms: platforms(&sha384),
        sha384,
    })
}

/// Vendors measure images, which hold firmware, kernel or runtime besides the program: of the program alone nothing follows.
fn platforms(sha384: &Bytes) -> Vec<Expected> {
    let simulated = cfg!(feature = "simulated").then(|| Expected {
        platform: "simulated",
        claim: "measurement",
        value: Some(sha384.clone()),
        how: "SHA-384 of the program",
    });
    let by_image = |platform, claim, how| Expected { platform, claim, value: None, how };
    let by_image = [
        by_image(
            "sgx",
            "MRENCLAVE",
            "adyton measure --sigstruct FILE reads it (docs/deploy/gramine.md)",
        ),
        by_image("nitro", "PCR0, PCR1, PCR2", "adyton measure --eif FILE (docs/deploy/nitro.md)"),
        by_image(
            "snp",
            "measurement",
            "adyton measure --firmware FILE --kernel FILE --initrd FILE --append STRING (docs/deploy/snp.md)",
        ),
        by_image(
            "tdx",
            "MRTD, RTMR0 to RTMR2",
            "of firmware and boot files: tools of the cloud or of the firmware (docs/deploy/tdx.md)",
        ),
        by_image(
            "tpm",
            "PCR0 to PCR15",
            "of the machine's boot; the program is no part of it unless measured boot makes it one",
        ),
    ];
    simulated.into_iter().chain(by_image).collect()
}

impl Report {
    fn render(&self) -> String {
        let Self { program, bytes, sha256, sha384, platforms } = self;
        let mut table = Table::new(3, &["platform", "claim", "value"]);
        for expected in platforms {
            let value = match &expected.value {
                Some(value) => format!("{value}  ({})", expected.how),
                None => format!("not of the program alone: {}", expected.how),
            };
            table.row(&[expected.platform, expected.claim, &value]);
        }
        format!(
            "{program}, {bytes} bytes\n  sha256 {sha256}\n  sha384 {sha384}\n\n{}",
            table.render()
        )
    }
}
