//! Which platform: by name, or by what the machine offers.

use crate::gramine::{self, Gramine};
use crate::hardware::Hardware;
use crate::nitro::{self, Nitro};
use crate::platform::{Platform, PlatformError};
#[cfg(feature = "simulated")]
use crate::simulated::Form;
use crate::tpm::{self, Tpm};
use crate::tsm::{self, Tsm};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A platform by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformName {
    /// The strongest that the machine offers; never a simulated one.
    Auto,
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
    /// AWS Nitro.
    Nitro,
    /// Intel SGX, by Gramine.
    Sgx,
    /// A TPM 2.0.
    Tpm,
    /// The simulated platform, which protects nothing, with evidence of one vendor's form.
    #[cfg(feature = "simulated")]
    Simulated(Form),
}

impl PlatformName {
    const ALL: &[Self] = &[
        Self::Auto,
        Self::Tdx,
        Self::Snp,
        Self::Nitro,
        Self::Sgx,
        Self::Tpm,
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::Snp),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::Tdx),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::Sgx),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::Nitro),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::Tpm),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::AzureSnp),
        #[cfg(feature = "simulated")]
        Self::Simulated(Form::AzureTdx),
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tdx => "tdx",
            Self::Snp => "snp",
            Self::Nitro => "nitro",
            Self::Sgx => "sgx",
            Self::Tpm => "tpm",
            #[cfg(feature = "simulated")]
            Self::Simulated(form) => match form {
                Form::Snp => "simulated",
                Form::Tdx => "simulated-tdx",
                Form::Sgx => "simulated-sgx",
                Form::Nitro => "simulated-nitro",
                Form::Tpm => "simulated-tpm",
                Form::AzureSnp => "simulated-azure-snp",
                Form::AzureTdx => "simulated-azure-tdx",
            },
        }
    }
}

impl fmt::Display for PlatformName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No platform of this build has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no platform {name:?}; there are {}", known())]
pub struct UnknownPlatform {
    name: String,
}

fn known() -> String {
    let names: Vec<&str> = PlatformName::ALL.iter().map(|name| name.name()).collect();
    names.join(", ")
}

impl FromStr for PlatformName {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        let found = Self::ALL.iter().find(|name| name.name() == text);
        found.copied().ok_or_else(|| UnknownPlatform { name: text.to_owned() })
    }
}

/// Where the machine has its platforms' devices and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Linux's folder of attestation reports: SNP, TDX.
    pub tsm: PathBuf,
    /// Gramine's folder: SGX.
    pub gramine: PathBuf,
    /// The Nitro Secure Module.
    pub nitro: PathBuf,
    /// The TPM, or a software TPM's socket.
    pub tpm: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            tsm: tsm::ROOT.into(),
            gramine: gramine::ROOT.into(),
            nitro: nitro::DEVICE.into(),
            tpm: tpm::DEVICE.into(),
        }
    }
}

impl Places {
    /// The usual places, but for the named platform's, which is at `path`.
    #[must_use]
    pub fn with(mut self, name: PlatformName, path: &Path) -> Self {
        match name {
            PlatformName::Tdx | PlatformName::Snp => self.tsm = path.to_owned(),
            PlatformName::Sgx => self.gramine = path.to_owned(),
            PlatformName::Nitro => self.nitro = path.to_owned(),
            PlatformName::Tpm => self.tpm = path.to_owned(),
            PlatformName::Auto => {}
            #[cfg(feature = "simulated")]
            PlatformName::Simulated(_) => {}
        }
        self
    }
}

/// Opens the hardware of this name at its place. A TPM is taken by `auto` last: it vouches for what was booted, and keeps nobody
/// out of the memory.
///
/// # Errors
/// [`PlatformError`] when it is not there or does not answer; `simulated` is no hardware ([`Simulated`](crate::Simulated)).
pub fn open(name: PlatformName, places: &Places) -> Result<Box<dyn Platform>, PlatformError> {
    match name {
        PlatformName::Auto => found(places),
        PlatformName::Tdx => guest("tdx", &places.tsm),
        PlatformName::Snp => guest("sev-snp", &places.tsm),
        PlatformName::Sgx => Ok(Box::new(Hardware::new(Gramine::open(&places.gramine)?)?)),
        PlatformName::Nitro => Ok(Box::new(Hardware::new(Nitro::open(&places.nitro)?)?)),
        PlatformName::Tpm => Ok(Box::new(Hardware::new(Tpm::open(&places.tpm)?)?)),
        #[cfg(feature = "simulated")]
        PlatformName::Simulated(_) => {
            Err(PlatformError::Missing("the simulated platform is no hardware".to_owned()))
        }
    }
}

fn found(places: &Places) -> Result<Box<dyn Platform>, PlatformError> {
    let offered = [
        (PlatformName::Sgx, places.gramine.join("attestation_type")),
        (PlatformName::Nitro, places.nitro.clone()),
    ];
    if let Some((name, _)) = offered.iter().find(|(_, file)| file.exists()) {
        return open(*name, places);
    }
    if places.tsm.exists() {
        match Tsm::open(&places.tsm) {
            // The kernel has the folder in ordinary guests too.
            Err(PlatformError::Missing(_)) => {}
            opened => return Ok(Box::new(Hardware::new(opened?)?)),
        }
    }
    if places.tpm.exists() {
        return open(PlatformName::Tpm, places);
    }
    let Places { tsm, gramine, nitro, tpm } = places;
    let looked = [gramine, nitro, tsm, tpm].map(|path| path.display().to_string()).join(", ");
    Err(PlatformError::Missing(format!(
        "this machine offers no platform to attest by: there is none of {looked}; is it a confidential guest, with its kernel's modules loaded?"
    )))
}

/// The confidential guest of this kind.
fn guest(kind: &'static str, root: &Path) -> Result<Box<dyn Platform>, PlatformError> {
    let platform = Hardware::new(Tsm::open(root)?)?;
    let found = crate::EvidenceProvider::kind(&platform);
    if found == kind {
        return Ok(Box::new(platform));
    }
    Err(PlatformError::Missing(format!("this machine is a guest of {found}, not {kind}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Places {
        Places {
            tsm: root.join("tsm"),
            gramine: root.join("attestation"),
            nitro: root.join("nsm"),
            tpm: root.join("tpm"),
        }
    }

    #[test]
    fn the_machines_platform_is_found() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        let kind = || open(PlatformName::Auto, &places(root)).map(|platform| platform.kind());
        let error = kind().unwrap_err();
        assert!(error.to_string().contains("offers no platform"), "{error}");
        // A file that answers nothing is taken for a TPM that fails, not for none.
        let is_tpm = |error: PlatformError| error.to_string().contains("the TPM answered");
        std::fs::write(root.join("tpm"), b"").unwrap();
        assert!(kind().is_err_and(is_tpm));
        // The kernel's folder alone is no guest; a guest of an unknown kind is told, and not taken for less.
        std::fs::create_dir(root.join("tsm")).unwrap();
        assert!(kind().is_err_and(is_tpm));
        let error = open(PlatformName::Tdx, &places(root)).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("no provider"), "{error}");
        std::fs::create_dir_all(root.join("tsm/adyton-enclave")).unwrap();
        std::fs::write(root.join("tsm/adyton-enclave/provider"), "arm_cca_guest\n").unwrap();
        assert!(kind().is_err());
        std::fs::write(root.join("tsm/adyton-enclave/provider"), "tdx_guest\n").unwrap();
        assert_eq!(kind().unwrap(), "tdx");
        let platform = open(PlatformName::Tdx, &places(root)).unwrap();
        assert!(!platform.lasting() && !platform.simulated());
        assert!(open(PlatformName::Snp, &places(root)).is_err());
        std::fs::write(root.join("nsm"), b"").unwrap();
        assert_eq!(kind().unwrap(), "nitro");
        std::fs::create_dir_all(root.join("attestation/keys")).unwrap();
        std::fs::write(root.join("attestation/attestation_type"), "dcap").unwrap();
        std::fs::write(root.join("attestation/keys/_sgx_mrenclave"), [1; 16]).unwrap();
        assert_eq!(kind().unwrap(), "sgx");
    }

    #[test]
    fn names_are_read_and_others_told() {
        for name in PlatformName::ALL {
            assert_eq!(name.to_string().parse(), Ok(*name));
        }
        let error = "sev".parse::<PlatformName>().unwrap_err();
        assert!(error.to_string().contains("snp"), "{error}");
    }
}
