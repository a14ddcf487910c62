//! Bounds of the host: memory, disk, queue. What cannot fit is refused; what must wait, waits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::Cursor;

use adyton_client::transport::JobEvent;
use adyton_host::memory::with_overhead;
use adyton_rpc::v1::ObjectKind;
use adyton_runtime::estimate_memory;
use common::*;

/// Bytes that the host reserves for a run.
fn reserved(model: &Model, groups: usize) -> u64 {
    let estimate = estimate_memory(&model.program, groups, 1).unwrap();
    [estimate.weights, estimate.keys, estimate.values, estimate.scratch]
        .map(with_overhead)
        .iter()
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_never_fits_is_refused_at_registration() {
    let memory = (reserved(model(false), 1) - 1).to_string();
    let world = World::with(&["--threads", "1", "--memory", &memory]).await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let refused = publish(&host, &enclave, model(false), open_policy()).await;
    assert_eq!(problem(refused), "exceeds-memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_two_networks_take_turns_in_memory_for_one() {
    let models = [model(false), model(true)];
    let memory = models.map(|model| reserved(model, 1));
    let memory = memory[0].max(memory[1]).to_string();
    let world = World::with(&["--threads", "1", "--memory", &memory]).await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let mut work = Vec::new();
    for model in models {
        let id = publish(&host, &enclave, model, open_policy()).await.unwrap();
        let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
        work.push((model, session));
    }
    // In turns, so that each job finds the other network's weights in its place.
    let mut jobs = Vec::new();
    for round in 0..2 {
        for (model, session) in &work {
            let inputs = samples(2, round);
            let job = prepare(&host, model, session, &inputs).await;
            host.submit(job.message()).await.unwrap();
            jobs.push((*model, session, inputs, job));
        }
    }
    for (model, session, inputs, job) in &jobs {
        let done = outcome(&world, session, job).await;
        check_result(model, inputs, &session.open_result(job, &done.released).unwrap());
    }

    // A batch for which there is never room at once runs in parts.
    let (model, session) = &work[0];
    let lanes = model.program.program().input.lanes as usize;
    let inputs = samples(lanes * 3 + 1, 9);
    assert!(reserved(model, 4) > memory.parse().unwrap());
    let job = prepare(&host, model, session, &inputs).await;
    host.submit(job.message()).await.unwrap();
    let mut last = 0;
    let id = session.id();
    let done = host.outcome(&id, &job.statement().job, |event| {
        if let JobEvent::Evaluating { done, total } = event {
            assert!(last <= done && done <= total && total % 4 == 0, "{last} {done} {total}");
            last = done;
        }
    });
    let done = done.await.unwrap();
    assert_eq!(done.timings.groups, 4);
    check_result(model, &inputs, &session.open_result(&job, &done.released).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_refuses_and_goes_on() {
    let model = model(false);
    let (weights, _) = encrypted(model);
    let program = model.compiled.program.encode();
    let limit = (program.len() + weights.len() - 1).to_string();
    let world = World::with(&["--store", &limit]).await;
    let host = world.connect().await;
    put_program(&host, model).await;
    assert_eq!(problem(put(&host, ObjectKind::Model, model, weights).await), "store-full");
    let again = host.put_object(ObjectKind::Program, sha256(&program), None, Cursor::new(program));
    assert!(again.await.unwrap().existed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_until_jobs_end() {
    let mut world = World::with(&["--queue-per-session", "1"]).await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let model = model(false);
    let id = publish(&host, &enclave, model, open_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let inputs = samples(2, 1);
    let first = prepare(&host, model, &session, &inputs).await;
    let second = prepare(&host, model, &session, &inputs).await;
    world.enclave.kill();
    host.submit(first.message()).await.unwrap();
    assert_eq!(problem(host.submit(second.message()).await), "queue-full");
    world.start_enclave();
    outcome(&world, &session, &first).await;
    host.submit(second.message()).await.unwrap();
    outcome(&world, &session, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_data_folder_has_one_host() {
    let world = World::new().await;
    world.connect().await;
    let data = world.data();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_adyton-host"))
        .args(["--listen", "127.0.0.1:0", "--enclave", "unix:/nothing", "--data"])
        .arg(data)
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("data folder"));
}
