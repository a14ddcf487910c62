//! The whole way, over real sockets between real processes: publish, session, job, release; then the same with processes
//! killed at every stage.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_data_owners_use_one_encrypted_model() {
    let world = World::new().await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let model = model(false);
    let id = publish(&host, &enclave, model, open_policy()).await.unwrap();

    for number in [2, 3] {
        let owner = data_owner(number);
        let session = open_session(&host, &enclave, &owner, id, 0).await.unwrap();
        let inputs = samples(5, u64::from(number));
        let job = prepare(&host, model, &session, &inputs).await;
        host.submit(job.message()).await.unwrap();
        let job_id = &job.statement().job;
        let done = host.outcome(&session.id(), job_id, |_| ()).await.unwrap();
        let opened = session.open_result(&job, &done.released).unwrap();
        check_result(model, &inputs, &opened);
        assert!(done.timings.evaluate_seconds > 0.0 && done.timings.groups == 1);
        assert!(done.timings.enclave_cpu_seconds > 0.0, "{:?}", done.timings);

        // Neither owner opens what is the other's, and asking again gives the same bytes.
        let again = host.outcome(&session.id(), job_id, |_| ()).await.unwrap();
        assert_eq!(again.released, done.released);
    }

    let model_bytes = encrypted(model).0.len() as u64;
    let stats = host.stats().await.unwrap();
    let bytes = |from: &str, to: &str, kind: &str| {
        let edge = |e: &&adyton_rpc::v1::Edge| e.from == from && e.to == to && e.kind == kind;
        stats.edges.iter().find(edge).map_or(0, |edge| edge.bytes)
    };
    assert_eq!(bytes("model-owner", "host", "model"), model_bytes);
    for (from, to, kind) in [
        ("data-owner", "host", "input"),
        ("enclave", "host", "keys"),
        ("host", "enclave", "result"),
        ("host", "data-owner", "result"),
        ("host", "owner", "evidence"),
    ] {
        assert!(bytes(from, to, kind) > 0, "{from} {to} {kind}");
    }
    assert_eq!((stats.jobs_done, stats.jobs_refused), (2, 0));
    assert!(stats.enclave.unwrap().peak_rss_bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_host_forgets_nothing() {
    let mut world = World::new().await;
    let model = model(false);
    let owner = data_owner(2);
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, open_policy()).await.unwrap();

    // After publishing.
    world.restart_host();
    let host = world.connect().await;
    let session = open_session(&host, &enclave, &owner, id, 0).await.unwrap();

    // After the session was opened; then at some moment between the acceptance of a job and its result.
    world.restart_host();
    let mut done = Vec::new();
    for round in 0..6_u64 {
        let host = world.connect().await;
        let inputs = samples(3, round);
        let job = prepare(&host, model, &session, &inputs).await;
        host.submit(job.message()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(round * 25)).await;
        world.restart_host();
        let outcome = outcome(&world, &session, &job).await;
        let opened = session.open_result(&job, &outcome.released).unwrap();
        check_result(model, &inputs, &opened);
        done.push((job, outcome.released, opened.receipt));
    }

    // Finished results are there after another kill, byte for byte; each job was released once.
    world.restart_host();
    let host = world.connect().await;
    for (job, released, _) in &done {
        let again = host.outcome(&session.id(), &job.statement().job, |_| ()).await.unwrap();
        assert_eq!(&again.released, released);
        host.submit(job.message()).await.unwrap();
    }
    let bits: Vec<u64> = done.iter().map(|(_, _, receipt)| receipt.session_bits).collect();
    let each = done[0].2.bits;
    assert_eq!(bits, (1..=6).map(|n| n * each).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_wait_for_a_killed_enclave() {
    let mut world = World::new().await;
    let model = model(false);
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, open_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let inputs = samples(3, 1);
    let job = prepare(&host, model, &session, &inputs).await;

    world.enclave.kill();
    host.submit(job.message()).await.unwrap();
    let session_id = session.id();
    let waiting = host.outcome(&session_id, &job.statement().job, |_| ());
    assert!(tokio::time::timeout(Duration::from_secs(2), waiting).await.is_err());
    world.start_enclave();
    let outcome = outcome(&world, &session, &job).await;
    let opened = session.open_result(&job, &outcome.released).unwrap();
    check_result(model, &inputs, &opened);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_cut_off_goes_on() {
    let mut world = World::new().await;
    let model = model(false);
    let keys = model.program.program().keys.len() as u32;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, open_policy()).await.unwrap();
    let deployment = deployment(&host, id).await;
    let owner = data_owner(2);

    // Killed after some of the keys.
    let opening = owner.open(&enclave, &deployment, 0).unwrap();
    let (told, mut made) = tokio::sync::mpsc::unbounded_channel();
    let message = opening.message().to_vec();
    let cut = tokio::spawn(async move {
        host.open_session(message, |event| told.send(event.made).unwrap()).await.map(|_| ())
    });
    while let Some(made) = made.recv().await {
        if made >= 2 {
            break;
        }
    }
    world.restart_host();
    let _ = cut.await.unwrap();

    let host = world.connect().await;
    let answer = host.open_session(opening.message().to_vec(), |_| ()).await.unwrap();
    let session = opening.confirm(&answer).unwrap();
    let stats = host.stats().await.unwrap();
    let made = stats.edges.iter().find(|e| e.from == "enclave" && e.kind == "keys");
    assert!(made.is_some_and(|edge| edge.messages < u64::from(keys)), "{made:?} of {keys}");
    assert_eq!(std::fs::read_dir(world.data().join("parts")).unwrap().count(), 0);

    let inputs = samples(2, 1);
    let job = prepare(&host, model, &session, &inputs).await;
    host.submit(job.message()).await.unwrap();
    let outcome = outcome(&world, &session, &job).await;
    let opened = session.open_result(&job, &outcome.released).unwrap();
    check_result(model, &inputs, &opened);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_host_in_order() {
    let mut world = World::with(&["--metrics", "127.0.0.1:0"]).await;
    let host = world.connect().await;
    world.appraise(&host).await;
    let status = tokio::task::spawn_blocking(move || world.host.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
}
