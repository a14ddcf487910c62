//! What evidence of an image must name, from the image's files.

use crate::args::Measure;
use crate::error::CliError;
use adyton_appraise::Bytes;
use adyton_appraise::expected::ImageError;
use adyton_appraise::expected::eif::{self, EifMeasurement};
use adyton_appraise::expected::sigstruct::{self, SigstructMeasurement};
use adyton_appraise::expected::snp::{self, Guest, Kernel};
use serde::Serialize;
use std::path::Path;

/// The measurement of one image.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Image {
    Eif(EifMeasurement),
    Sigstruct(SigstructMeasurement),
    Snp(Launch),
}

/// Of an SNP guest.
#[derive(Serialize)]
pub(crate) struct Launch {
    measurement: Bytes,
    /// Whether the digest is of a kernel, or of the firmware alone.
    kernel_measured: bool,
    vcpus: u32,
    guest_features: u64,
}

/// Measures the image that was named, if one was.
pub(crate) fn measure(args: &Measure) -> Result<Option<Image>, CliError> {
    if let Some(path) = &args.eif {
        return Ok(Some(Image::Eif(eif::measure(&read(path)?).map_err(content(path))?)));
    }
    if let Some(path) = &args.sigstruct {
        return Ok(Some(Image::Sigstruct(
            sigstruct::measure(&read(path)?).map_err(content(path))?,
        )));
    }
    match &args.firmware {
        Some(path) => launch(args, path).map(Some),
        None => Ok(None),
    }
}

fn launch(args: &Measure, path: &Path) -> Result<Image, CliError> {
    let guest = &args.guest;
    let vcpu_type = guest.vcpu_type.ok_or_else(|| CliError::Argument {
        what: "--vcpu-type",
        value: String::new(),
        reason: "the digest depends on it; name QEMU's -cpu".to_owned(),
    })?;
    let firmware = read(path)?;
    let kernel = guest.kernel.as_deref().map(read).transpose()?;
    let initrd = guest.initrd.as_deref().map(read).transpose()?.unwrap_or_default();
    let kernel = kernel.as_deref();
    let measurement = snp::measure(&Guest {
        firmware: &firmware,
        kernel: kernel.map(|kernel| Kernel {
            kernel,
            initrd: &initrd,
            command_line: &guest.append,
        }),
        vcpus: guest.vcpus,
        vcpu_type,
        guest_features: guest.guest_features,
    });
    Ok(Image::Snp(Launch {
        measurement: measurement.map_err(content(path))?,
        kernel_measured: kernel.is_some(),
        vcpus: guest.vcpus,
        guest_features: guest.guest_features,
    }))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(CliError::file("read", path))
}

fn content(path: &Path) -> impl FnOnce(ImageError) -> CliError {
    let path = path.to_owned();
    move |error| CliError::Content { path, reason: error.to_string() }
}

impl Image {
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Eif(EifMeasurement { pcr0, pcr1, pcr2, signed }) => {
                let signed = if *signed {
                    "\nThe image is signed: PCR8 will be of the signer's certificate, which is not computed here."
                } else {
                    ""
                };
                format!(
                    "Nitro, outside of debug mode\n  pcr0  {pcr0}  (the image)\n  pcr1  {pcr1}  (kernel and boot)\n  pcr2  {pcr2}  (the application)\nName all three in the policy.{signed}\n"
                )
            }
            Self::Sigstruct(stated) => sigstruct_text(stated),
            Self::Snp(Launch { measurement, kernel_measured, vcpus, guest_features }) => {
                let of = if *kernel_measured {
                    "It is of firmware, kernel, initrd and command line, started by QEMU with kernel-hashes=on."
                } else {
                    "It is of the FIRMWARE ALONE: whatever that boots, the digest is the same. Give --kernel to measure what runs."
                };
                format!(
                    "SEV-SNP, {vcpus} processors, features {guest_features:#x}\n  measurement  {measurement}\n{of}\n"
                )
            }
        }
    }
}

fn sigstruct_text(stated: &SigstructMeasurement) -> String {
    let SigstructMeasurement {
        mrenclave,
        mrsigner,
        isv_prod_id,
        isv_svn,
        attributes,
        attribute_mask,
        debug_possible,
        misc_select,
        date,
    } = stated;
    let debug = match debug_possible {
        true => {
            "POSSIBLE: such an enclave has no secrets from its host; policies refuse one that runs so"
        }
        false => "no",
    };
    format!(
        "SGX: what the signer states; its signature verifies, the enclave's files were not measured\n  mrenclave       {mrenclave}\n  mrsigner        {mrsigner}\n  product         {isv_prod_id}\n  version (SVN)   {isv_svn}\n  attributes      {attributes}, enforced {attribute_mask}\n  misc select     {misc_select:#x}\n  debug           {debug}\n  signed          {date}\n"
    )
}
