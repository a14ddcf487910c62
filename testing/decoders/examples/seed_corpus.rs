//! Writes valid objects into `fuzz/corpus`: `cargo run -p adyton-decoders --example seed_corpus`, from the root of the repository.

use std::error::Error;
use std::fs;
use std::path::Path;

use adyton_ckks::InputKey;
use adyton_ckks::{Encoder, ModelKey, ResultKey, Scale};
use adyton_ckks_secret::{KeyGenerator, Randomness, SecretKey};
use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};
use adyton_compiler::plan::{CompileOptions, Objective, compile};
use adyton_decoders::{KEY, parameters};
use adyton_wire::message::AuditProof;
use adyton_wire::seal::PUBLIC_KEY_LENGTH;
use adyton_wire::statement::{
    AuditFinding, AuditHead, AuditPolicy, DeploymentStatement, Execution, JobStatement, Policy,
    Quarantine, SessionStatement, Statement, Task,
};
use adyton_wire::{
    DeploymentId, InstanceId, JobId, Nonce, ObjectId, Problem, ProgramId, Reply, Request, Response,
    SessionId, SessionNonce, Signed, SigningKey,
};

fn main() -> Result<(), Box<dyn Error>> {
    write("program", "latency", &program(Objective::Latency, 4)?)?;
    write("program", "throughput", &program(Objective::Throughput, 4)?)?;
    write("program", "passed", &program(Objective::Throughput, 3)?)?;

    let parameters = parameters();
    let mut randomness = Randomness::from_seed(&[1; 32]);
    let model = SecretKey::<ModelKey>::derive(parameters, &[2; 32], b"corpus")?;
    let input = SecretKey::<InputKey>::derive(parameters, &[3; 32], b"corpus")?;
    let result = SecretKey::<ResultKey>::derive(parameters, &[4; 32], b"corpus")?;
    let values: Vec<f64> = (0..16).map(f64::from).collect();
    let plaintext = Encoder::new(parameters).encode(&values, 1, &Scale::pow2(20))?;
    let weights = model.encrypt(&plaintext, &mut randomness)?;
    write("ciphertext", "model", &weights.encode(parameters)?)?;
    let inputs = input.encrypt(&plaintext, &mut randomness)?;
    write("ciphertext", "input", &inputs.encode(parameters)?)?;
    let outputs = result.encrypt(&plaintext, &mut randomness)?.expand(parameters)?;
    write("ciphertext", "result", &outputs.encode(parameters)?)?;
    let generator = KeyGenerator::new(&model, &input, &result)?;
    let key = generator.evaluation_key(&KEY, &mut randomness)?;
    write("evaluation_key", "rotation", &key.encode(parameters)?)?;

    let session = SessionId([5; 32]);
    let job = JobStatement {
        deployment: DeploymentId([6; 32]),
        session,
        job: JobId([7; 16]),
        program: ProgramId([8; 32]),
        input: ObjectId([9; 32]),
        samples: 3,
        groups: 1,
        expires: 2_000_000_000,
    };
    let release = adyton_wire::message::Release {
        job: Signed::new(&job, &SigningKey::from_seed(&[10; 32])),
        ciphertexts: outputs.encode(parameters)?,
        keys: ObjectId([13; 32]),
    };
    let proof = proof(job.clone());
    write("audit_proof", "proof", &proof.encode())?;
    let requests = [
        ("evidence", Request::GetEvidence { nonce: Nonce([11; 32]) }),
        ("key", Request::MakeKey { session, index: 7 }),
        ("release", Request::Release(release)),
        ("audit", Request::GetAudit { from: 12 }),
        ("finding", Request::SubmitFinding(proof.finding.clone())),
    ];
    let mut frames = Vec::new();
    for (name, request) in requests {
        let bytes = request.encode();
        frames.extend(u32::try_from(bytes.len())?.to_le_bytes());
        frames.extend(&bytes);
        write("request", name, &bytes)?;
    }
    write("frame", "requests", &frames)?;
    write("reply", "refused", &Reply::from(Problem::QuotaExceeded).encode())?;
    let settled = Response::AuditSettled(Some(proof.quarantine.clone()));
    write("reply", "settled", &Reply::from(settled).encode())?;

    write("samples", "idx", &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4])?;
    write("samples", "pgm", b"P5\n2 2\n255\n\x01\x02\x03\x04")?;
    write("onnx", "gemm", &fs::read("crates/compiler/tests/models/gemm.onnx")?)?;
    for (name, file) in [
        ("convolution", "random/712"),
        ("transposed", "random/356"),
        ("resize", "random/809"),
        ("einsum", "random/940"),
        ("polynomial", "random/1493"),
        ("two_outputs", "random/416"),
        ("max_pool", "cases/test_maxpool_2d_ceil_output_size_reduce_by_one"),
        ("classifier", "sklearn/mlp_logistic"),
        ("logistic", "sklearn/logistic_multinomial"),
    ] {
        write("onnx", name, &fs::read(format!("crates/compiler/tests/models/{file}.onnx"))?)?;
    }
    Ok(())
}

/// A program of two layers, with so many of four values squared between them.
fn program(objective: Objective, squared: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let dense = |rows: usize, cols: usize| -> Result<Layer, Box<dyn Error>> {
        let row = |r: usize| {
            (0..cols).map(|c| (c, 0.1 + ((r * cols + c) % 5) as f64 / 10.0)).collect::<Vec<_>>()
        };
        let matrix = SparseMatrix::from_rows(cols, (0..rows).map(row))?;
        Ok(Layer::Affine(Affine::new(matrix, vec![0.5; rows])?))
    };
    let network =
        Network::new("tiny", vec![6], vec![dense(4, 6)?, Layer::Square { squared }, dense(2, 4)?])?;
    let samples = [vec![0.5; 6], vec![0.25; 6], vec![0.0; 6]];
    let options = CompileOptions { objective, precision: 0.5, ..CompileOptions::new(&samples) };
    Ok(compile(&network, &options)?.program.encode())
}

/// The proof of a failed audit.
fn proof(job: JobStatement) -> AuditProof {
    let [model, data, auditor, enclave] = [14, 15, 16, 17].map(|n| SigningKey::from_seed(&[n; 32]));
    let audit = Some(AuditPolicy { rate_ppm: 100_000, auditor: auditor.public_key() });
    let deployment = DeploymentStatement {
        program: job.program,
        model: ObjectId([18; 32]),
        owner: model.public_key(),
        policy: Policy { audit, ..Policy::deny() },
        seed_commitment: [19; 32],
    };
    let session = SessionStatement {
        deployment: deployment.id(),
        owner: data.public_key(),
        reply_key: vec![20; PUBLIC_KEY_LENGTH],
        nonce: SessionNonce([21; 16]),
        seed_commitment: [22; 32],
    };
    let job = JobStatement { deployment: deployment.id(), session: session.id(), ..job };
    let task = Task {
        instance: InstanceId([23; 16]),
        epoch: 1,
        job: job.clone(),
        model: deployment.model,
        keys: ObjectId([13; 32]),
    };
    let finding = AuditFinding {
        execution: Execution { task: task.clone(), result: [24; 32] },
        auditor: auditor.public_key(),
        version: "0.1.0".to_owned(),
    };
    let quarantine = Quarantine {
        version: "0.1.0".to_owned(),
        committed: Execution { task, result: [25; 32] },
        finding: finding.digest(),
        time: 1_800_000_000,
        audit: AuditHead { length: 5, digest: [26; 32] },
    };
    AuditProof {
        deployment: Signed::new(&deployment, &model),
        session: Signed::new(&session, &data),
        job: Signed::new(&job, &data),
        finding: Signed::new(&finding, &auditor),
        quarantine: Signed::new(&quarantine, &enclave),
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = Path::new("fuzz/corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}
