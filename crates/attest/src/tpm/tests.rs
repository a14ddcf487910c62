//! With a software TPM, and with answers that no TPM gives.

use super::*;
use crate::hardware::Hardware;
use crate::platform::Platform;
use adyton_appraise::{Bytes, Endorsements, TrustStore, UnixTime, Vendor, verify};
use std::process::{Child, Stdio};

/// A running swtpm (Debian's package of that name).
struct Swtpm {
    folder: tempfile::TempDir,
    process: Child,
}

impl Swtpm {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = |name: &str| format!("type=unixio,path={}/{name}", folder.path().display());
        let process = std::process::Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--server"])
            .args([&socket("socket"), "--ctrl", &socket("socket.ctrl"), "--tpmstate"])
            .arg(format!("dir={}", folder.path().display()))
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm is installed");
        while !folder.path().join("socket").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { folder, process }
    }

    fn tool(&self, command: &str) {
        let socket = self.folder.path().join("socket");
        let mut words = command.split_whitespace();
        let output = std::process::Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.folder.path())
            .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", socket.display()))
            .output()
            .expect("tpm2-tools are installed");
        assert!(output.status.success(), "{command}: {output:?}");
    }

    /// The attestation key in PEM, by the recipe of docs/platforms.md.
    fn key(&self) -> Vec<u8> {
        self.tool(
            "tpm2_createprimary -Q -C o -g sha256 -G ecc256:ecdsa-sha256:null -c ak.ctx \
             -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign",
        );
        self.tool("tpm2_readpublic -Q -c ak.ctx -f pem -o ak.pem");
        self.tool("tpm2_flushcontext -t");
        std::fs::read(self.folder.path().join("ak.pem")).unwrap()
    }

    fn open(&self) -> Result<Hardware<Tpm>, PlatformError> {
        Tpm::open(&self.folder.path().join("socket")).and_then(Hardware::new)
    }

    /// As a process that was just started has it.
    fn platform(&self) -> Hardware<Tpm> {
        self.open().unwrap()
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Vec<u8> {
        let platform = self.platform();
        assert_eq!(platform.kind(), "tpm");
        platform.evidence(report_data).unwrap()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "needs Debian's packages swtpm and tpm2-tools; .ci/run installs them and names this test"]
fn a_software_tpm_vouches_and_verifiers_believe_its_key() {
    let tpm = Swtpm::start();
    tpm.tool(&format!("tpm2_pcrextend 4:sha256={}", "ab".repeat(32)));
    let key = tpm.key();
    let first = tpm.evidence(&[7; 64]);
    let at = UnixTime(1_780_000_000);
    let verified =
        |evidence: &[u8], store: &TrustStore| verify(evidence, &Endorsements::default(), store, at);
    let store = TrustStore::empty().with_file(Vendor::Tpm, "ak", &key, false).unwrap();
    let claims = verified(&first, &store).unwrap();
    assert_eq!(claims.report_data, Bytes::from(digest::sha256(&[7; 64])));
    assert!(!claims.simulated && claims.measurements.contains_key("pcr4"));
    assert!(!claims.measurements["pcr4"].is_zero());
    for register in 0..COUNT {
        assert!(claims.measurements.contains_key(&format!("pcr{register}")), "{register}");
    }
    assert!(!claims.measurements.contains_key("pcr16"));

    // The same key each time, nothing left loaded: a TPM holds three transient objects.
    for round in 0..5 {
        let claims = verified(&tpm.evidence(&[round; 64]), &store).unwrap();
        assert_eq!(claims.report_data, Bytes::from(digest::sha256(&[round; 64])));
    }
    tpm.tool(&format!("tpm2_pcrextend 4:sha256={}", "cd".repeat(32)));
    let later = verified(&tpm.evidence(&[7; 64]), &store).unwrap();
    assert_ne!(later.measurements["pcr4"], claims.measurements["pcr4"]);
    // Another TPM has another key.
    let other = Swtpm::start().evidence(&[7; 64]);
    assert_eq!(verified(&other, &store).unwrap_err().code, "untrusted-root");
}

/// A TPM that gives these bytes for every command.
struct Recorded(Vec<u8>);

impl Read for Recorded {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.len().min(into.len());
        into[..length].copy_from_slice(&self.0[..length]);
        Ok(length)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn answers_that_no_tpm_gives_are_refused() {
    let failure = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 0x01];
    let error = Key::create(&mut Recorded(failure.to_vec())).err().unwrap();
    assert!(error.to_string().contains("0x101"), "{error}");
    let lengths = [0, 9, 11, 30, u32::MAX];
    for length in lengths {
        let mut answer = vec![0x80, 0x02];
        answer.extend(length.to_be_bytes());
        answer.extend([0; 14]);
        assert!(Key::create(&mut Recorded(answer)).is_err(), "{length}");
    }
    assert!(Key::create(&mut Recorded(Vec::new())).is_err());
    // Registers that were not asked for, or fewer values than said.
    for (given, count) in [([0xFF, 0xFF, 0x01], 17), ([0x01, 0, 0], 2), ([0, 0, 0], 0)] {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0x0B, 3];
        answer.extend(given);
        answer.extend(u32::to_be_bytes(count));
        let mut whole = vec![0x80, 0x01];
        whole.extend((10 + answer.len() as u32).to_be_bytes());
        whole.extend([0; 4]);
        whole.extend(answer);
        assert!(registers(&mut Recorded(whole)).is_err(), "{given:?}");
    }
}

#[test]
#[ignore = "needs Debian's packages swtpm and tpm2-tools; .ci/run installs them and names this test"]
fn a_software_tpm_seals_for_what_was_booted() {
    let tpm = Swtpm::start();
    let key = || *tpm.platform().sealing_key().unwrap();
    let first = key();
    assert!(tpm.platform().lasting() && first != [0; 32]);
    // The same for later processes, also after the system's own registers and after 10 and above moved; nothing left loaded.
    tpm.tool(&format!("tpm2_pcrextend 10:sha256={}", "ab".repeat(32)));
    for _ in 0..5 {
        assert_eq!(key(), first);
    }
    assert_ne!(*Swtpm::start().platform().sealing_key().unwrap(), first);

    // Of another boot: another key, and the first one's is not to be had by naming its policy.
    let stream = || UnixStream::connect(tpm.folder.path().join("socket")).unwrap();
    let policy = {
        let mut stream = stream();
        let session = secret::Session::of_boot(&mut stream).unwrap();
        let policy = session.policy(&mut stream).unwrap();
        flush(&mut stream, session.0).unwrap();
        policy
    };
    let of_policy = || {
        let mut stream = stream();
        let session = secret::Session::of_boot(&mut stream).unwrap();
        let code = secret::coded(&mut stream, session.0, &policy, 0);
        flush(&mut stream, session.0).unwrap();
        code
    };
    assert!(of_policy().is_ok());
    tpm.tool(&format!("tpm2_pcrextend 9:sha256={}", "ab".repeat(32)));
    assert_ne!(key(), first);
    // `TPM_RC_POLICY_FAIL` of the first session.
    let error = of_policy().unwrap_err().to_string();
    assert!(error.contains("0x99d"), "{error}");
}

#[test]
#[ignore = "needs Debian's packages swtpm and tpm2-tools; .ci/run installs them and names this test"]
fn a_software_tpm_counts_and_never_back() {
    let tpm = Swtpm::start();
    let key = *tpm.platform().sealing_key().unwrap();
    assert_eq!(tpm.platform().counter().unwrap(), Some(0));
    tpm.platform().advance_counter(1).unwrap();
    tpm.platform().advance_counter(4).unwrap();
    tpm.platform().advance_counter(4).unwrap();
    // A later process.
    assert_eq!(tpm.platform().counter().unwrap(), Some(4));
    assert_eq!(*tpm.platform().sealing_key().unwrap(), key);
    let error = tpm.platform().advance_counter(3).unwrap_err();
    assert!(matches!(error, PlatformError::CounterBackwards { at: 4, to: 3 }), "{error}");

    // A counter removed and made again stands no lower.
    tpm.tool(&format!("tpm2_nvundefine -C o {:#x}", counter::COUNTER));
    assert!(tpm.platform().counter().unwrap() >= Some(4));
    // Another beginning, by which the count would be lower, is another key.
    tpm.tool(&format!("tpm2_nvundefine -C o {:#x}", counter::BASE));
    assert_eq!(tpm.platform().counter().unwrap(), Some(0));
    assert_ne!(*tpm.platform().sealing_key().unwrap(), key);
    // What could be written backwards is no counter.
    tpm.tool(&format!("tpm2_nvundefine -C o {:#x}", counter::COUNTER));
    tpm.tool(&format!(
        "tpm2_nvdefine -Q -C o -s 8 -a authread|authwrite|no_da {:#x}",
        counter::COUNTER
    ));
    let error = tpm.open().err().unwrap().to_string();
    assert!(error.contains("would be right"), "{error}");
}
