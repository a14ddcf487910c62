//! The auditor as a real process beside the others: it is killed, comes back, agrees with an honest host and convicts one that
//! alters a result.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;
#[allow(dead_code, reason = "each test takes what it needs")]
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use world::{Ended, PATIENCE, Random, Running, Victim, World, assert_right};

fn arguments(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

/// A world with one deployment whose jobs are all audited.
struct Audited {
    world: World,
    deployment: String,
}

impl Audited {
    fn new() -> Self {
        let world = World::new(common::adyton());
        let identity = world.path("auditor");
        let made = world.run(&["keygen", "-o", &identity, "--json"]);
        let key = made.json().unwrap()["public_key"].as_str().unwrap().to_owned();
        let mut publish = world.publish();
        publish.extend(["--audit-rate", "1", "--auditor", &key].map(str::to_owned));
        let published = world.run(&arguments(&publish));
        assert!(published.status.success(), "{}", published.log);
        let deployment = published.json().unwrap()["deployment"].as_str().unwrap().to_owned();
        Self { world, deployment }
    }

    fn start_infer(&self, session: usize) -> Running {
        let mut infer = self.world.infer(&self.deployment, "data-owner", session);
        infer.push(World::inputs());
        self.world.begin(&arguments(&infer))
    }

    fn audit_arguments(&self) -> Vec<String> {
        let (identity, proofs) = (self.world.path("auditor"), self.world.path("proofs"));
        let own = ["audit", "run", "--identity", &identity, "--proofs", &proofs, "--json"];
        let mut arguments = own.map(str::to_owned).to_vec();
        arguments.extend(["--every", "0.05"].map(str::to_owned));
        arguments.extend(self.world.trust());
        arguments
    }

    /// Lets an auditor settle what is open, once something is.
    fn audit_once(&self) -> Ended {
        let mut once = self.audit_arguments();
        once.push("--once".to_owned());
        let started = Instant::now();
        loop {
            let ended = self.world.run(&arguments(&once));
            if !ended.out.is_empty() || started.elapsed() > PATIENCE {
                return ended;
            }
        }
    }
}

/// A stored object of this length.
fn object_of(world: &World, length: u64) -> Option<PathBuf> {
    let folders = std::fs::read_dir(world.path("host/objects")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let mut files = folders
        .filter(|path| !path.ends_with("incoming"))
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path());
    files.find(|path| path.metadata().is_ok_and(|metadata| metadata.len() == length))
}

/// Waits for the first result, and changes one bit in its middle.
fn alter_result(world: &World) {
    let started = Instant::now();
    let result = loop {
        match object_of(world, world.result_bytes) {
            Some(path) => break path,
            None => assert!(started.elapsed() < PATIENCE, "no result: {}", world.logs()),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut bytes = std::fs::read(&result).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&result, bytes).unwrap();
    // An attempt to release that had read it before fails meanwhile; the next one reads anew.
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn an_honest_host_is_agreed_with_over_kills_of_everybody() {
    let mut audited = Audited::new();
    let mut infer = audited.start_infer(0);
    assert!(infer.wait_for("evaluate"));
    // An auditor that is killed at some moment of its work, with enclave and host, leaves nothing half done.
    for delay in [100, 300, 600] {
        let mut auditor = audited.world.begin(&arguments(&audited.audit_arguments()));
        std::thread::sleep(Duration::from_millis(delay));
        auditor.kill();
        auditor.end();
        audited.world.kill_and_restart(Victim::Enclave, Duration::from_millis(50));
        audited.world.kill_and_restart(Victim::Host, Duration::from_millis(50));
    }
    let mut auditor = audited.world.begin(&arguments(&audited.audit_arguments()));
    let inferred = infer.end();
    assert!(inferred.status.success(), "{}", inferred.log);
    let report = inferred.json().unwrap();
    assert_right(&report["logits"]);
    assert_eq!(report["jobs"][0]["audited"], true);
    auditor.kill();
    let said = auditor.end().out;
    let found: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Which of the auditors settled it, and whether it lived to say so, is a matter of moments.
    assert!(found.iter().all(|found| found["agrees"] == true), "{said}");
}

impl Audited {
    /// What a data owner gets of an interrupted command: what it had submitted, or a new prediction.
    fn settle(&self, session: usize) -> Vec<serde_json::Value> {
        let report = |ended: Ended| {
            assert!(ended.status.success(), "{}\n{}", ended.log, self.world.logs());
            ended.json().unwrap()
        };
        if !world::tickets(&self.world.path("data-owner")).is_empty() {
            let mut collect = self.world.infer(&self.deployment, "data-owner", session);
            collect.push("--collect".to_owned());
            let collected = report(self.world.run(&arguments(&collect)))["collected"].take();
            let collected = collected.as_array().unwrap().clone();
            collected.iter().for_each(|one| assert_right(&one["logits"]));
            if !collected.is_empty() {
                return collected;
            }
        }
        let report = report(self.start_infer(session).end());
        assert_right(&report["logits"]);
        vec![report["jobs"][0].clone()]
    }
}

/// One of five processes, the auditor among them, is killed at a random moment of a prediction that is audited.
fn kill_at(moments: usize, seed: u64) {
    eprintln!("ADYTON_KILL_SEED={seed}");
    let mut random = Random(seed.max(1));
    let mut audited = Audited::new();
    let mut auditor = audited.world.begin(&arguments(&audited.audit_arguments()));
    let began = Instant::now();
    assert!(audited.start_infer(0).end().status.success());
    let length = began.elapsed();
    let mut jobs = 1;
    for number in 1..=moments {
        let mut infer = audited.start_infer(number);
        let (delay, away) =
            (random.time(length.mul_f64(1.1)), random.time(Duration::from_millis(400)));
        std::thread::sleep(delay);
        let victim = random.below(4);
        eprintln!("{number}: {victim} after {delay:?}, away for {away:?}");
        match victim {
            0 => {
                auditor.kill();
                auditor.end();
                std::thread::sleep(away);
                auditor = audited.world.begin(&arguments(&audited.audit_arguments()));
            }
            1 => audited.world.kill_and_restart(Victim::Enclave, away),
            2 => audited.world.kill_and_restart(Victim::Host, away),
            _ => infer.kill(),
        }
        let ended = infer.end();
        jobs += match ended.json() {
            Some(report) => {
                assert_right(&report["logits"]);
                assert_eq!(report["jobs"][0]["audited"], true);
                1
            }
            None => audited.settle(number).len(),
        };
    }
    auditor.kill();
    auditor.end();
    // Nothing was released that was not committed to and agreed with, and all that was came to its owner.
    let evidence = audited.world.path("evidence");
    let fetched = audited.world.run(&["evidence", "fetch", "-o", &evidence, "--json"]).json();
    let key = fetched.unwrap()["signing_key"].as_str().unwrap().to_owned();
    let log =
        ["audit", "log", "--enclave-key", &key, "--deployment", &audited.deployment, "--json"];
    let log = audited.world.run(&log).json().unwrap();
    assert_eq!(log["quarantined"], false);
    for counted in ["committed", "agreed", "released"] {
        assert_eq!(log[counted], jobs, "{counted}: {log}");
    }
}

#[test]
#[ignore = "minutes: many moments, other ones each time"]
fn the_auditor_and_all_others_may_be_killed_at_very_many_moments() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let moments = number("ADYTON_KILL_MOMENTS").unwrap_or(100);
    kill_at(usize::try_from(moments).unwrap(), number("ADYTON_KILL_SEED").unwrap_or(now.as_secs()));
}

#[test]
fn a_host_that_alters_a_result_is_convicted_by_a_proof_that_anybody_checks() {
    let mut audited = Audited::new();
    let mut infer = audited.start_infer(0);
    assert!(infer.wait_for("encrypt the inputs"));
    // The session is open: the enclave is not needed before the release. While it is away, the host has time to change a bit.
    audited.world.while_away(Victim::Enclave, alter_result);
    let ended = audited.audit_once();
    let found = ended.json().unwrap();
    assert_eq!(found["agrees"], false, "{}", ended.out);
    let refused = infer.end();
    assert!(!refused.status.success());
    assert!(refused.log.contains("quarantined"), "{}", refused.log);

    let proof = found["proof"].as_str().unwrap();
    let world = &audited.world;
    let evidence = world.path("evidence");
    assert!(world.run(&["evidence", "fetch", "-o", &evidence]).status.success());
    let mut verify = vec!["audit", "verify", proof, "--json", "--evidence", &evidence];
    let trust = world.trust();
    verify.extend(arguments(&trust));
    let verified = world.run(&verify);
    assert!(verified.status.success(), "{}", verified.log);
    let report = verified.json().unwrap();
    assert_eq!(report["proven"], true);
    assert_ne!(report["host_result"], report["auditor_result"]);
    let enclave = report["enclave"].as_str().unwrap();

    // A third execution tells who was wrong; the host's copy of the proof is the auditor's.
    let repeat = ["audit", "repeat", proof, "--enclave-key", enclave, "--json"];
    let repeated = world.run(&repeat);
    assert_eq!(repeated.json().unwrap()["third_result_is"], "auditor", "{}", repeated.log);
    let copy = world.path("copy.proof");
    let fetched = world.run(&["audit", "proof", "--deployment", &audited.deployment, "-o", &copy]);
    assert!(fetched.status.success(), "{}", fetched.log);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(proof).unwrap());

    // A proof that was changed, or is held against another key, proves nothing.
    let mut bent = std::fs::read(proof).unwrap();
    let last = bent.len() - 1;
    bent[last] ^= 1;
    std::fs::write(&copy, bent).unwrap();
    assert!(!world.run(&["audit", "verify", &copy, "--enclave-key", enclave]).status.success());
    let other = report["auditor"].as_str().unwrap();
    assert!(!world.run(&["audit", "verify", proof, "--enclave-key", other]).status.success());
    // And the deployment stays closed.
    audited.world.kill_and_restart(Victim::Enclave, Duration::ZERO);
    let next = audited.start_infer(1).end();
    assert!(next.log.contains("quarantined"), "{}", next.log);
}

/// The host's log holds the release whose receipt named this head; another head, or another enclave's key, does not fit.
fn the_log_is_the_enclaves(world: &World, deployment: &str, head: &str) {
    let evidence = world.path("evidence");
    let fetched = world.run(&["evidence", "fetch", world.url(), "-o", &evidence, "--json"]);
    let fetched = fetched.json().unwrap();
    let key = fetched["signing_key"].as_str().unwrap();
    let log = |key: &str, head: &str| {
        let own = ["audit", "log", "--enclave-key", key, "--head", head, "--json"];
        world.run(&[&own[..], &["--deployment", deployment]].concat())
    };
    let report = log(key, head).json().unwrap();
    assert_eq!((&report["sessions"], &report["released"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["anchored"], report["length"]);
    assert_eq!(format!("{}:{}", report["length"], report["digest"].as_str().unwrap()), head);
    let other = "11".repeat(32);
    assert!(!log(&other, head).status.success());
    let elsewhere = log(key, &format!("1:{other}"));
    assert!(elsewhere.log.contains("another history"), "{}", elsewhere.log);
}

#[test]
fn canaries_pass_an_honest_host_and_show_a_network_that_is_another() {
    let world = World::new(common::adyton());
    let published = world.run(&arguments(&world.publish()));
    let deployment = published.json().unwrap()["deployment"].as_str().unwrap().to_owned();
    let (inputs, answers) = (World::inputs(), world.path("answers.npy"));
    let infer = |more: &[&str]| {
        let mut owned = world.infer(&deployment, "data-owner", 0);
        owned.push(World::inputs());
        owned.extend(more.iter().map(|&argument| argument.to_owned()));
        world.run(&arguments(&owned))
    };
    let first = infer(&["--out", &answers]);
    assert!(first.status.success(), "{}", first.log);
    let text = |name: &str| first.json().unwrap()["jobs"][0][name].to_string();
    let head = format!("{}:{}", text("audit_length"), text("audit_digest").trim_matches('"'));
    the_log_is_the_enclaves(&world, &deployment, &head);
    let canaries = ["--canaries", "5", "--canary-inputs", &inputs, "--canary-answers", &answers];
    let second = infer(&canaries);
    assert!(second.status.success(), "{}", second.log);
    let report = second.json().unwrap();
    assert_right(&report["logits"]);
    assert_eq!(report["canaries"]["hidden"], 5);
    let lanes = report["canaries"]["lanes"].as_u64().unwrap();
    assert_eq!(lanes, report["samples"].as_u64().unwrap() + 5);
    assert!(
        (report["canaries"]["detects_one"].as_f64().unwrap() - 5.0 / lanes as f64).abs() < 1e-9
    );

    // Answers of another network: what the host returned is not what it should be.
    let mut bytes = std::fs::read(&answers).unwrap();
    let last = bytes.len() - 8;
    bytes[last..].copy_from_slice(&1e3f64.to_le_bytes());
    let known = adyton_samples::Samples::open(&answers).unwrap().iter().len();
    std::fs::write(&answers, &bytes).unwrap();
    // Every known sample is drawn but for a chance in e^40.
    let many = (40 * known).to_string();
    let wrong = ["--canaries", &many, "--canary-inputs", &inputs, "--canary-answers", &answers];
    let third = infer(&wrong);
    assert!(
        !third.status.success() && third.log.contains("canaries came back wrong"),
        "{}",
        third.log
    );
    assert!(world::tickets(&world.path("data-owner")).is_empty());
}
