//! A small program and an enclave's side of the protocol, played by the test.

use adyton_appraise::{Bytes, UnixTime};
use adyton_attest::{EvidenceProvider, Form, Simulated};
use adyton_client::trust::{Challenge, Trust, VerifiedEnclave};
use adyton_client::{Deployment, Identity, ModelOwner, Written};
use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};
use adyton_compiler::plan::{CompileOptions, Compiled, compile};
use adyton_program::VerifiedProgram;
use adyton_wire::message::{Evidence, RegisterDeployment};
use adyton_wire::seal::OpeningKey;
use adyton_wire::statement::{DataOwners, EvidenceStatement, OutputForm, Policy};
use adyton_wire::{InstanceId, Nonce, PublicKey, SigningKey};

/// When evidence is verified.
pub(crate) const NOW: UnixTime = UnixTime(1_780_000_000);
/// Features of a sample.
pub(crate) const FEATURES: usize = 6;
/// Outputs of a sample.
pub(crate) const OUTPUTS: usize = 3;

/// 6 → 4 → square → 3 with fixed weights.
pub(crate) fn compiled() -> Compiled {
    let affine = |rows: usize, columns: usize| {
        let weight = |r: usize, c: usize| ((r * 7 + c * 3) % 11) as f64 / 11.0 - 0.4;
        let row = |r: usize| (0..columns).map(|c| (c, weight(r, c))).collect::<Vec<_>>();
        let matrix = SparseMatrix::from_rows(columns, (0..rows).map(row)).unwrap();
        Layer::Affine(Affine::new(matrix, vec![0.125; rows]).unwrap())
    };
    let layers = vec![affine(4, FEATURES), Layer::Square { squared: 4 }, affine(OUTPUTS, 4)];
    let network = Network::new("small", vec![FEATURES], layers).unwrap();
    let options_samples = samples(16);
    compile(&network, &CompileOptions::new(&options_samples)).unwrap()
}

/// Samples with values in [−1, 1].
pub(crate) fn samples(count: usize) -> Vec<Vec<f64>> {
    let value = |s: usize, f: usize| ((s * 13 + f * 5) % 21) as f64 / 10.0 - 1.0;
    (0..count).map(|s| (0..FEATURES).map(|f| value(s, f)).collect()).collect()
}

/// The enclave's keys, held by the test.
pub(crate) struct Enclave {
    pub(crate) signing: SigningKey,
    pub(crate) opening: OpeningKey,
    pub(crate) instance: InstanceId,
    platform: Simulated,
    pub(crate) trust: Trust,
    _directory: tempfile::TempDir,
}

impl Enclave {
    pub(crate) fn new() -> Self {
        Self::of(Form::default())
    }

    /// With evidence of this form.
    pub(crate) fn of(form: Form) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let measurement = Simulated::measurement_of(&own).unwrap();
        Self {
            signing: SigningKey::generate().unwrap(),
            opening: OpeningKey::generate().unwrap(),
            instance: InstanceId([3; 16]),
            platform: Simulated::open(directory.path()).unwrap().in_form(form),
            trust: Trust::simulated([Bytes::from(measurement)]).unwrap(),
            _directory: directory,
        }
    }

    /// Evidence for a nonce, encoded.
    pub(crate) fn evidence(&self, nonce: Nonce) -> Vec<u8> {
        let statement = EvidenceStatement {
            nonce,
            signing_key: self.signing.public_key(),
            sealing_key: self.opening.public_key().as_bytes().to_vec(),
            instance: self.instance,
            epoch: 1,
            version: "test".into(),
            simulated: self.platform.simulated(),
        };
        let evidence = self.platform.evidence(&statement.report_data()).unwrap();
        Evidence { kind: self.platform.kind().into(), evidence, statement }.encode()
    }

    /// What an owner gets by appraising this enclave.
    pub(crate) fn appraised(&self) -> VerifiedEnclave {
        let challenge = Challenge::new().unwrap();
        let evidence = self.evidence(*challenge.nonce());
        challenge.appraise(&evidence, &self.trust, NOW).unwrap()
    }
}

/// A release policy that admits one owner and releases logits.
pub(crate) fn policy(owner: PublicKey) -> Policy {
    Policy {
        owners: DataOwners::Listed(vec![owner]),
        sessions_per_owner: 1,
        ciphertexts_per_session: 8,
        jobs_per_owner: 8,
        jobs_total: 8,
        bits_per_session: 1 << 20,
        bits_total: 1 << 20,
        expires: u64::MAX,
        output: OutputForm::Logits { bits: 16 },
        ..Policy::deny()
    }
}

/// A model owner's registration and what a data owner makes of it.
pub(crate) struct Published {
    pub(crate) program: VerifiedProgram,
    pub(crate) model: Vec<u8>,
    pub(crate) written: Written,
    pub(crate) message: RegisterDeployment,
    pub(crate) deployment: Deployment,
}

pub(crate) fn publish(enclave: &Enclave, data_owner: PublicKey) -> Published {
    let Compiled { program, weights, .. } = compiled();
    let program = VerifiedProgram::new(program).unwrap();
    let owner = ModelOwner::new(Identity::from_secret([1; 32]));
    let (model, written) = owner.encrypt_model(&program, weights.vectors(), 0, Vec::new()).unwrap();
    let appraised = enclave.appraised();
    let registration =
        owner.register(&appraised, &program, written.object, 0, policy(data_owner)).unwrap();
    let message = RegisterDeployment::decode(registration.message()).unwrap();
    let deployment =
        Deployment::verify(registration.id(), &message.statement, &message.program).unwrap();
    Published { program, model, written, message, deployment }
}
