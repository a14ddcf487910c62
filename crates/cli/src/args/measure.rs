//! What is measured: a program, or the files of an image.

use adyton_appraise::expected::snp::VcpuType;
use clap::Args;
use std::path::PathBuf;

/// Print the digests of an enclave's program or image, and what evidence of it must name.
///
/// The program's digests are to be compared with CHANGELOG.md's, or with those of a build of your own (docs/reproducible.md). For the
/// simulated platform they are the measurement. Real platforms measure images that hold more than the program: give the image's files,
/// and what a policy must name is computed from them, offline. What it says holds if the machine starts these very files in this way.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton measure                                        the enclave beside this program
  adyton measure target/reproducible/x86_64-unknown-linux-gnu/enclave/adyton-enclave
                                                        what tools/build-enclave built
  adyton measure --json | jq -r .sha384                 for scripts
  adyton measure --eif enclave.eif                      Nitro: PCR0, PCR1, PCR2
  adyton measure --sigstruct adyton-enclave.sig         SGX: MRENCLAVE, MRSIGNER, as the signer states them
  adyton measure --firmware OVMF.amdsev.fd --kernel bzImage --initrd enclave.initrd --append 'console=ttyS0' \
    --vcpus 1 --vcpu-type EPYC-v4                       SNP: the launch digest of a guest of QEMU's")]
pub(crate) struct Measure {
    /// The enclave's program [default: the one beside this program]
    #[arg(value_name = "PROGRAM", conflicts_with = "image")]
    pub(crate) program: Option<PathBuf>,

    /// Nitro: an enclave image, as nitro-cli build-enclave writes it
    #[arg(long, value_name = "FILE", group = "image")]
    pub(crate) eif: Option<PathBuf>,

    /// SGX: a signer's statement (SIGSTRUCT), as gramine-sgx-sign writes it beside the manifest; its signature is verified
    #[arg(long, value_name = "FILE", group = "image")]
    pub(crate) sigstruct: Option<PathBuf>,

    /// SNP: the firmware, OVMF's AmdSev build
    #[arg(long, value_name = "FILE", group = "image", requires = "vcpu_type")]
    pub(crate) firmware: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) guest: MeasuredGuest,

    /// Print as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What QEMU starts beside the firmware.
#[derive(Args, Debug)]
pub(crate) struct MeasuredGuest {
    /// SNP: the kernel. Without it the firmware boots whatever it finds, and the digest is of the firmware alone
    #[arg(long, value_name = "FILE", requires = "firmware")]
    pub(crate) kernel: Option<PathBuf>,

    /// SNP: the initrd
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(crate) initrd: Option<PathBuf>,

    /// SNP: the kernel's command line, exactly as QEMU's -append
    #[arg(
        long,
        value_name = "STRING",
        requires = "kernel",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) append: String,

    /// SNP: virtual processors (QEMU's -smp)
    #[arg(long, value_name = "N", requires = "firmware", default_value_t = 1)]
    pub(crate) vcpus: u32,

    /// SNP: QEMU's -cpu, such as EPYC-v4, EPYC-Milan, EPYC-Genoa; or its signature (CPUID 1, EAX) as 0x...
    #[arg(long, value_name = "NAME", requires = "firmware")]
    pub(crate) vcpu_type: Option<VcpuType>,

    /// SNP: SEV_FEATURES of the guest; 1 is SNP alone
    #[arg(long, value_name = "N", requires = "firmware", default_value = "1", value_parser = features)]
    pub(crate) guest_features: u64,
}

/// A number, decimal or 0x and hexadecimal.
fn features(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not a number, such as 1 or 0x21".to_owned())
}
