//! TPM 2.0 quotes: the sample of swtpm, the same with one thing wrong, and a quote made here by a real swtpm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod pki;
mod tcg_log;

use adyton_appraise::{Bytes, Claims, Digest, Endorsements, Kind, TrustStore, UnixTime, Vendor};
use adyton_appraise::{VerifyError, recognise, verify};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use der::asn1::ObjectIdentifier as Oid;
use pki::{HALF, NOW, Shape, issue, key, spki};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MESSAGE: &[u8] = include_bytes!("vectors/swtpm/quote.msg");
const SIGNATURE: &[u8] = include_bytes!("vectors/swtpm/quote.sig");
const PCRS: &[u8] = include_bytes!("vectors/swtpm/quote.pcrs");
const AK: &str = include_str!("vectors/swtpm/ak.pem");
const QUALIFYING: &str = include_str!("vectors/swtpm/qualifying_data.hex");
const AT: UnixTime = UnixTime(NOW);

fn bundle(message: &[u8], signature: &[u8], pcrs: &[u8], ak: &str) -> Value {
    json!({
        "message": BASE64.encode(message),
        "signature": BASE64.encode(signature),
        "pcrs": BASE64.encode(pcrs),
        "ak": ak,
    })
}

fn sample() -> Value {
    bundle(MESSAGE, SIGNATURE, PCRS, AK)
}

/// The DER within PEM.
fn unpem(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64.decode(body).unwrap()
}

fn pinned(ak: &str) -> TrustStore {
    TrustStore::empty().with_key(Vendor::Tpm, "our TPM", &unpem(ak), true)
}

fn verify_with(bundle: &Value, store: &TrustStore, at: UnixTime) -> Result<Claims, VerifyError> {
    let bytes = serde_json::to_vec(bundle).unwrap();
    verify(&bytes, &Endorsements::default(), store, at)
}

fn verify_sample(bundle: &Value) -> Result<Claims, VerifyError> {
    verify_with(bundle, &pinned(AK), AT)
}

#[track_caller]
fn refused(bundle: &Value, code: &str) {
    let refused = verify_sample(bundle).unwrap_err();
    assert_eq!(refused.code, code, "{refused}");
}

fn with(name: &str, value: Value) -> Value {
    let mut bundle = sample();
    bundle[name] = value;
    bundle
}

#[test]
fn the_sample_is_accepted_under_its_pinned_key() {
    assert_eq!(recognise(sample().to_string().as_bytes()).unwrap().kind, Kind::Tpm);
    let claims = verify_sample(&sample()).unwrap();
    assert_eq!((claims.kind, claims.simulated, claims.debug), (Kind::Tpm, true, false));
    assert_eq!(claims.root.sha256, Digest::of(&unpem(AK)));
    assert_eq!(claims.report_data.to_string(), QUALIFYING.trim());
    assert_eq!(claims.measurements.len(), 10);
    assert_eq!(claims.measurements["pcr7"], Bytes(vec![0; 32]));
    assert!(claims.measurements["pcr16"].to_string().starts_with("468617f9bae060f2"));
    assert_eq!(claims.format, "TPM 2.0 quote, ECDSA P-256 with SHA-256");
    assert!(claims.validity.is_empty());
}

#[test]
fn register_values_come_in_every_form_of_the_tools() {
    let expected = verify_sample(&sample()).unwrap();
    let registers =
        (0..8).chain([16]).map(|index| (index, &expected.measurements[&format!("pcr{index}")]));
    let registers: Vec<(u8, &Bytes)> = registers.collect();
    let list: Vec<String> = registers.iter().map(|(_, value)| value.to_string()).collect();
    let bare: Vec<u8> = registers.iter().flat_map(|(_, value)| value.0.clone()).collect();
    let lines = registers.iter().map(|(index, value)| format!("    {index:<2}: 0x{value}\n"));
    let yaml = format!("pcrs:\n  sha256:\n{}  sha384:\n", lines.collect::<String>());
    for pcrs in [json!(list), json!(BASE64.encode(bare)), json!(yaml), json!(BASE64.encode(&yaml))]
    {
        assert_eq!(verify_sample(&with("pcrs", pcrs)).unwrap(), expected);
    }
    let without = verify_sample(&with("pcrs", Value::Null)).unwrap();
    assert_eq!(without.measurements.keys().collect::<Vec<_>>(), ["pcr-digest"]);
    assert_eq!(without.notes.len(), expected.notes.len() + 1);
}

#[test]
fn register_values_that_the_quote_does_not_vouch_for_are_refused() {
    let claims = verify_sample(&sample()).unwrap();
    let value = |index: u8| claims.measurements[&format!("pcr{index}")].to_string();
    let mut list: Vec<String> = (0..8).chain([16]).map(value).collect();
    let right = list.clone();
    list[8] = list[0].clone();
    refused(&with("pcrs", json!(list)), "pcr-mismatch");
    refused(&with("pcrs", json!(right[1..])), "pcr-mismatch");
    list.push(right[8].clone());
    refused(&with("pcrs", json!(list)), "pcr-mismatch");
    refused(&with("pcrs", json!(vec!["00"; 129])), "too-large");
    refused(&with("pcrs", json!(["no hex"])), "malformed");
    // The same values, said to be of other registers.
    let yaml = |first: &str| {
        let numbers = (first.parse::<u8>().unwrap()..).take(9);
        let lines = numbers.zip(&right).map(|(index, value)| format!("{index}: 0x{value}\n"));
        format!("sha256:\n{}", lines.collect::<String>())
    };
    refused(&with("pcrs", json!(yaml("0"))), "pcr-mismatch");
    for wrong in
        ["0: 0x00\n", "sha256:\n 1: 0x00\n 1: 0x00\n", "sha256:\n32: 00\n", "sha256:\nx: 1\n"]
    {
        refused(&with("pcrs", json!(wrong)), "malformed");
    }
    let mut selection = PCRS.to_vec();
    selection[7] ^= 0x80;
    refused(&with("pcrs", json!(BASE64.encode(selection))), "pcr-mismatch");
    refused(&with("pcrs", json!(BASE64.encode(&PCRS[..1199]))), "truncated");
    refused(&with("pcrs", json!(BASE64.encode(vec![0; 70_000]))), "too-large");
}

#[test]
fn a_changed_byte_is_refused_or_changes_nothing() {
    let claims = verify_sample(&sample()).unwrap();
    let key = unpem(AK);
    let parts = [MESSAGE, SIGNATURE, PCRS, &key];
    for (part, bytes) in parts.iter().enumerate() {
        for place in 0..bytes.len() {
            let mut parts = parts.map(<[u8]>::to_vec);
            parts[part][place] ^= 1 << (place % 8);
            let [message, signature, pcrs, key] = &parts;
            let changed = bundle(message, signature, pcrs, &BASE64.encode(key));
            match verify_sample(&changed) {
                // Of the parts, the file of values alone has bytes that are not used.
                Ok(other) => assert!(part == 2 && other == claims, "part {part}, byte {place}"),
                Err(refused) => assert_ne!(refused.code, "", "{refused}"),
            }
        }
    }
    let mut text = sample().to_string().into_bytes();
    for place in 0..text.len() {
        text[place] ^= 1 << (place % 8);
        if let Ok(other) = verify(&text, &Endorsements::default(), &pinned(AK), AT) {
            assert_eq!(other, claims, "character {place}");
        }
        text[place] ^= 1 << (place % 8);
    }
}

#[test]
fn shortened_and_lengthened_parts_are_refused() {
    let long = |bytes: &[u8]| [bytes, &[0]].concat();
    for length in 0..MESSAGE.len() {
        assert!(verify_sample(&bundle(&MESSAGE[..length], SIGNATURE, PCRS, AK)).is_err());
    }
    for length in 0..SIGNATURE.len() {
        assert!(verify_sample(&bundle(MESSAGE, &SIGNATURE[..length], PCRS, AK)).is_err());
    }
    refused(&bundle(&long(MESSAGE), SIGNATURE, PCRS, AK), "bad-signature");
    refused(&bundle(MESSAGE, &long(SIGNATURE), PCRS, AK), "malformed");
    refused(&bundle(MESSAGE, SIGNATURE, &long(PCRS), AK), "malformed");
    let huge = vec![0; 300_000];
    assert!(verify_sample(&bundle(&huge, SIGNATURE, PCRS, AK)).is_err());
    let mut unknown = sample();
    unknown["unknown"] = json!(1);
    assert!(verify_sample(&unknown).is_err());
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    let mut signature = SIGNATURE.to_vec();
    for (place, value, code) in [
        (1, 0x14, "malformed"),          // RSASSA, whose signature is one string
        (1, 0x1a, "unsupported-format"), // ECDAA
        (3, 0x04, "unsupported-format"), // SHA-1
        (3, 0x0c, "bad-signature"),      // SHA-384
    ] {
        let right = std::mem::replace(&mut signature[place], value);
        refused(&bundle(MESSAGE, &signature, PCRS, AK), code);
        signature[place] = right;
    }
    let rsa = [&[0, 0x14, 0, 0x0b, 1, 0][..], &[1; 256]].concat();
    refused(&bundle(MESSAGE, &rsa, PCRS, AK), "bad-signature");
    refused(&with("ak", json!("no key")), "unsupported-format");
}

#[test]
fn a_key_that_nobody_vouches_for_is_refused() {
    let another = TrustStore::empty().with_key(Vendor::Tpm, "another", &spki(&key(1)), true);
    let other_vendor = TrustStore::empty().with_key(Vendor::Aws, "AWS", &unpem(AK), true);
    for store in [TrustStore::empty(), TrustStore::production(), another, other_vendor] {
        assert_eq!(verify_with(&sample(), &store, AT).unwrap_err().code, "untrusted-root");
    }
    // Its own certificate, signed by the key itself or by an unknown authority, changes nothing.
    let certificate = issue(Shape::leaf("CN=ak", "CN=ca"), &unpem(AK), &key(2));
    let bundle = with("certificates", json!([BASE64.encode(certificate)]));
    assert_eq!(verify_with(&bundle, &TrustStore::empty(), AT).unwrap_err().code, "untrusted-root");
}

const ATTESTATION_KEY: Oid = Oid::new_unwrap("2.23.133.8.3");
const SERVER: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.1");

/// The sample with its key certified as `leaf` says, by an intermediate of the test root.
fn certified(leaf: Shape, at: u64) -> Result<Claims, VerifyError> {
    let root = issue(Shape::authority("CN=root", "CN=root"), &spki(&key(1)), &key(1));
    let intermediate = issue(Shape::authority("CN=ca", "CN=root"), &spki(&key(2)), &key(1));
    let unrelated = issue(Shape::authority("CN=ca", "CN=root"), &spki(&key(3)), &key(1));
    let leaf = issue(leaf, &unpem(AK), &key(2));
    let store = TrustStore::empty().with_certificate(Vendor::Tpm, "maker", &root, true).unwrap();
    let bundle = with("certificates", json!([BASE64.encode(leaf), BASE64.encode(unrelated)]));
    let endorsements = Endorsements { collateral: Vec::new(), certificates: vec![intermediate] };
    verify(bundle.to_string().as_bytes(), &endorsements, &store, UnixTime(at))
}

#[test]
fn a_certified_key_is_followed_to_its_authority() {
    let leaf = || Shape::leaf("CN=ak", "CN=ca");
    for purposes in [vec![], vec![ATTESTATION_KEY], vec![SERVER, ATTESTATION_KEY]] {
        let claims = certified(Shape { purposes, ..leaf() }, NOW).unwrap();
        assert_eq!(claims.root.name, "maker");
        assert_eq!(claims.validity.len(), 3);
        assert_eq!(claims.validity[0].what, "attestation key certificate");
        assert_eq!(claims.measurements, verify_sample(&sample()).unwrap().measurements);
    }
    let code = |leaf, at| certified(leaf, at).unwrap_err().code;
    assert_eq!(code(Shape { purposes: vec![SERVER], ..leaf() }, NOW), "certificate-mismatch");
    assert_eq!(code(Shape { authority: Some(true), ..leaf() }, NOW), "certificate-mismatch");
    assert_eq!(code(Shape::leaf("CN=ak", "CN=other"), NOW), "untrusted-root");
    assert_eq!(code(leaf(), NOW + HALF + 1), "certificate-expired");
    assert_eq!(code(leaf(), NOW - HALF - 1), "certificate-not-yet-valid");
}

/// A software TPM that ends with the test.
struct Swtpm {
    folder: tempfile::TempDir,
    process: Child,
}

impl Swtpm {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = |name| format!("type=unixio,path={}", folder.path().join(name).display());
        let process = Command::new("swtpm")
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

    /// Runs one of tpm2-tools in the folder, and clears what it leaves in the TPM.
    fn run(&self, command: &str) {
        let socket = self.folder.path().join("socket");
        for command in [command, "tpm2_flushcontext -t"] {
            let mut words = command.split_whitespace();
            let output = Command::new(words.next().unwrap())
                .args(words)
                .current_dir(self.folder.path())
                .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", socket.display()))
                .output()
                .expect("tpm2-tools are installed");
            assert!(output.status.success(), "{command}: {output:?}");
        }
    }

    fn file(&self, name: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
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
fn quotes_of_a_software_tpm_are_accepted_and_its_log_matches() {
    let tpm = Swtpm::start();
    tpm.run("tpm2_createprimary -Q -C e -G ecc -c primary");
    let events = [b"loader".as_slice(), b"kernel"];
    for event in events {
        tpm.run(&format!("tpm2_pcrextend 16:sha256={}", Digest::of(event)));
    }
    let log = events.iter().fold(tcg_log::Log::new(&[tcg_log::SHA256]), |log, event| {
        log.event(16, tcg_log::IPL, event, event)
    });
    let log = adyton_appraise::eventlog::replay(&log.bytes).unwrap();
    for (algorithm, options) in [
        ("ecc:ecdsa-sha256:null", "-g sha256"),
        ("ecc384:ecdsa-sha384:null", "-g sha384"),
        ("rsa2048:rsassa-sha256:null", "-g sha256"),
        ("rsa2048:rsapss-sha256:null", "-g sha256 --scheme rsapss"),
        ("ecc:ecdsa-sha256:null", "-g sha256 -f plain"),
        ("rsa2048:rsassa-sha256:null", "-g sha256 -f plain -F values"),
    ] {
        tpm.run(&format!(
            "tpm2_create -Q -C primary -G {algorithm} -u ak.pub -r ak.priv -c ak \
             -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
        ));
        tpm.run("tpm2_readpublic -Q -c ak -f pem -o ak.pem");
        tpm.run(&format!(
            "tpm2_quote -Q -c ak -l sha256:0,1,2,3,4,5,6,7,16+sha384:0,7 -q 00112233 -m msg -s sig -o pcrs {options}"
        ));
        let pem = String::from_utf8(tpm.file("ak.pem")).unwrap();
        let [message, signature, pcrs] = ["msg", "sig", "pcrs"].map(|name| tpm.file(name));
        let bundle = bundle(&message, &signature, &pcrs, &pem);
        let claims = verify_with(&bundle, &pinned(&pem), AT).unwrap();
        assert_eq!(claims.report_data, Bytes(vec![0, 0x11, 0x22, 0x33]));
        assert_eq!(claims.measurements.len(), 12);
        assert_eq!(claims.measurements["pcr7-sha384"], Bytes(vec![0; 48]));
        log.matches(&claims).unwrap();
        // The key as the TPM itself writes it.
        let mut structured = bundle.clone();
        structured["ak"] = json!(BASE64.encode(tpm.file("ak.pub")));
        assert_eq!(verify_with(&structured, &pinned(&pem), AT).unwrap(), claims);
        let mut forged = message;
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let mut changed = bundle.clone();
        changed["message"] = json!(BASE64.encode(forged));
        let refused = verify_with(&changed, &pinned(&pem), AT).unwrap_err();
        assert_eq!(refused.code, "bad-signature");
    }
}
