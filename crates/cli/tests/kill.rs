//! Any process of the four is killed at any moment: nothing is corrupt afterwards, what was answered is still there, finished
//! results can be fetched, and no result is released twice.
//!
//! Moments are random within a phase of an owner's command, and repeatable: `ADYTON_KILL_SEED` sets the seed that a failed run
//! printed, `ADYTON_KILL_MOMENTS` the number of moments of the long run (`--ignored`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use adyton_wire::statement::JobStatement;
use adyton_wire::{ObjectId, Signed};
use serde_json::Value;
use world::ledger::{self, Ledger};
use world::{Ended, Random, Running, Victim, World, assert_right, put_back, tickets};

/// The steps of `publish`, as its log names them.
const PUBLISH: [&str; 4] = [
    "appraise the enclave",
    "encrypt the weights",
    "upload the encrypted model",
    "register the deployment",
];
/// The steps of `infer`; the last goes from the queue over evaluation and release to the printed result.
const INFER: [&str; 5] = [
    "appraise the enclave",
    "open the session",
    "encrypt the inputs",
    "upload the encrypted inputs",
    "evaluate",
];
/// The data owners: two, so that jobs of one wait for those of the other.
const OWNERS: [&str; 2] = ["data-owner-a", "data-owner-b"];

/// One kill.
#[derive(Clone, Copy, Debug)]
struct Moment {
    victim: Victim,
    /// Which step of the command, and how long after its begin.
    phase: &'static str,
    delay: Duration,
    /// How long a killed server stays away.
    away: Duration,
}

impl Moment {
    fn wait(&self, running: &mut Running) {
        running.wait_for(self.phase);
        std::thread::sleep(self.delay);
    }
}

/// The world, what is known of it, and how long the steps take here.
struct Bench {
    world: World,
    ledger: Ledger,
    deployment: String,
    sessions: usize,
    lengths: HashMap<&'static str, Duration>,
    /// What the kills came to, by victim.
    outcomes: BTreeMap<String, u32>,
}

/// How long each step took, by the times of the log's lines.
fn lengths(phases: &[&'static str], mut run: Running) -> (HashMap<&'static str, Duration>, Ended) {
    for phase in phases {
        assert!(run.wait_for(phase), "no step `{phase}`");
    }
    let begins: Vec<Instant> = phases
        .iter()
        .map(|p| run.log.iter().find(|(_, l)| l.trim_start().starts_with(p)).unwrap().0)
        .collect();
    let ended = run.end();
    let ends = begins.iter().skip(1).copied().chain([Instant::now()]);
    let lengths = phases.iter().copied().zip(begins.iter().zip(ends).map(|(b, e)| e - *b));
    (lengths.collect(), ended)
}

fn arguments(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

impl Bench {
    /// Publishes and predicts once undisturbed, to see how long the steps take.
    fn new() -> Self {
        let world = World::new(common::adyton());
        let publish = world.begin(&arguments(&world.publish()));
        let (mut times, published) = lengths(&PUBLISH, publish);
        assert!(published.status.success(), "{}", published.log);
        let deployment = published.json().unwrap()["deployment"].as_str().unwrap().to_owned();
        let mut bench = Self {
            world,
            ledger: Ledger::default(),
            deployment,
            sessions: 0,
            lengths: HashMap::new(),
            outcomes: BTreeMap::new(),
        };
        bench.published(&published);
        let infer = bench.start_infer(OWNERS[0]);
        let (more, inferred) = lengths(&INFER, infer);
        assert!(inferred.status.success(), "{}", inferred.log);
        // Both begin with the same step.
        times.extend(more);
        bench.lengths = times;
        bench
    }

    fn published(&mut self, ended: &Ended) {
        let report = ended.json().unwrap();
        let text = |name: &str| report[name].as_str().unwrap().to_owned();
        self.ledger.deployments.insert(text("deployment"));
        self.ledger.objects.insert(text("model").parse::<ObjectId>().unwrap().0);
    }

    fn infer_arguments(&self, owner: &str) -> Vec<String> {
        self.world.infer(&self.deployment, owner, self.sessions)
    }

    fn start_infer(&self, owner: &str) -> Running {
        let mut owned = self.infer_arguments(owner);
        owned.push(World::inputs());
        self.world.begin(&arguments(&owned))
    }

    fn moment(&self, victim: Victim, phase: &'static str, random: &mut Random) -> Moment {
        // A little beyond the step's end, into the next one or into the process's end.
        let delay = random.time(self.lengths[phase].mul_f64(1.1));
        Moment { victim, phase, delay, away: random.time(Duration::from_millis(400)) }
    }

    /// Kills; returns whether it was an owner's process.
    fn strike(&mut self, moment: Moment, running: &mut Running) -> bool {
        match moment.victim {
            Victim::Owner => running.kill(),
            server => self.world.kill_and_restart(server, moment.away),
        }
        moment.victim == Victim::Owner
    }

    fn count(&mut self, moment: Moment, outcome: &str) {
        *self.outcomes.entry(format!("{:?}: {outcome}", moment.victim)).or_default() += 1;
    }

    /// A kill during `publish`: run again, it publishes; what it published can be used.
    fn kill_during_publish(&mut self, moment: Moment) {
        let owned = self.world.publish();
        let mut running = self.world.begin(&arguments(&owned));
        moment.wait(&mut running);
        let killed = self.strike(moment, &mut running);
        let mut ended = running.end();
        if !killed {
            ended.assert_orderly();
        }
        let again = ended.json().is_none();
        if again {
            ended = self.world.run(&arguments(&owned));
            assert!(ended.status.success(), "{}\n{}", ended.log, self.world.logs());
        }
        self.published(&ended);
        self.deployment = ended.json().unwrap()["deployment"].as_str().unwrap().to_owned();
        self.sessions += 1;
        let used = self.start_infer(OWNERS[0]).end();
        assert!(used.status.success(), "{}\n{}", used.log, self.world.logs());
        assert_right(&used.json().unwrap()["logits"]);
        self.ledger.check(&mut self.world);
        self.count(moment, if again { "published again" } else { "published at once" });
    }

    /// A kill while two data owners predict: each gets its result, once released.
    fn kill_during_infer(&mut self, moment: Moment) {
        self.sessions += 1;
        let [first, second] = OWNERS;
        let mut running = self.start_infer(first);
        let other = self.start_infer(second);
        // Jobs as they stand in the middle: whoever kept them may ask again later.
        let kept = |owner: &str, world: &World| tickets(&world.path(owner));
        moment.wait(&mut running);
        let before: Vec<_> = OWNERS.iter().map(|owner| kept(owner, &self.world)).collect();
        let killed = self.strike(moment, &mut running);
        // Both have ended before either is looked at: what is released from here on was asked for here.
        let ended = [running, other].map(Running::end);
        for ((owner, ended), mut before) in OWNERS.into_iter().zip(ended).zip(before) {
            if !killed || owner != first {
                ended.assert_orderly();
            }
            before.extend(kept(owner, &self.world));
            let outcome = self.settle(owner, &ended, before);
            self.count(moment, &format!("infer {outcome}"));
        }
    }

    /// After a kill: the owner gets its result, by collecting it or by predicting again, and cannot get another for the same job.
    fn settle(
        &mut self,
        owner: &str,
        ended: &Ended,
        kept: Vec<(PathBuf, Vec<u8>)>,
    ) -> &'static str {
        let accepted = ended.log.lines().any(|line| line.trim_start().starts_with("evaluate:"));
        let uploaded = ended.log.lines().any(|line| line.trim_start().starts_with("evaluate"));
        let jobs: Vec<JobStatement> = kept.iter().map(|(_, content)| statement(content)).collect();
        for job in &jobs {
            if uploaded {
                self.ledger.objects.insert(job.input.0);
            }
            assert!(!accepted || ledger::is_known(&self.world, job), "an accepted job is lost");
        }

        let mut delivered = HashMap::new();
        let mut outcome = "finished";
        if let Some(report) = ended.json() {
            delivered.insert(job_id(&report["jobs"][0]), report["logits"].clone());
        } else {
            if !kept.is_empty() {
                outcome = "collected";
                delivered.extend(self.collect(owner));
            }
        }
        if delivered.is_empty() {
            outcome = "predicted again";
            let again = self.start_infer(owner).end();
            assert!(again.status.success(), "{}\n{}", again.log, self.world.logs());
            let report = again.json().unwrap();
            delivered.insert(job_id(&report["jobs"][0]), report["logits"].clone());
        }
        delivered.values().for_each(assert_right);

        // Whoever kept a job and asks again gets the very same result, noise and all, and nothing is released anew.
        let released = self.ledger.check(&mut self.world);
        let mut after = released.clone();
        if !kept.is_empty() {
            put_back(&kept);
            for (job, logits) in self.collect(owner) {
                assert_eq!(delivered.get(&job), Some(&logits), "another result for job {job}");
            }
            after = self.ledger.check(&mut self.world);
        }
        assert_eq!(released.len(), after.len(), "asked again, released again");
        for job in &jobs {
            let entry = &after[&(job.session.0, job.job.0)];
            assert_eq!(entry.object, ledger::sealed_result(&self.world, job));
        }
        // What was released came to its owner: nothing was spent for nobody.
        let session = session_of(&jobs, &after, &delivered);
        let spent = after.keys().filter(|(of, _)| Some(*of) == session).count();
        assert_eq!(spent, delivered.len(), "a released result did not reach its owner");
        outcome
    }

    /// Results of stored jobs by job, as JSON.
    fn collect(&self, owner: &str) -> HashMap<String, Value> {
        let mut owned = self.infer_arguments(owner);
        owned.push("--collect".to_owned());
        let ended = self.world.run(&arguments(&owned));
        assert!(ended.status.success(), "{}\n{}", ended.log, self.world.logs());
        let report = ended.json().unwrap();
        let collected = report["collected"].as_array().unwrap();
        collected.iter().map(|one| (job_id(one), one["logits"].clone())).collect()
    }
}

fn statement(ticket: &[u8]) -> JobStatement {
    Signed::<JobStatement>::decode(ticket).unwrap().unverified().unwrap()
}

fn job_id(report: &Value) -> String {
    report["job"].as_str().unwrap().to_owned()
}

/// The session of the results that were delivered.
fn session_of<E>(
    jobs: &[JobStatement],
    released: &HashMap<([u8; 32], [u8; 16]), E>,
    delivered: &HashMap<String, Value>,
) -> Option<[u8; 32]> {
    let known = jobs.first().map(|job| job.session.0);
    known.or_else(|| {
        let found = released.keys().find(|(_, job)| delivered.contains_key(&ledger::hex(job)));
        found.map(|(session, _)| *session)
    })
}

/// Kills at `moments` moments: every step of either command, every victim, in turn.
fn run(seed: u64, moments: usize) {
    let began = Instant::now();
    let mut random = Random(seed.max(1));
    let mut bench = Bench::new();
    let steps: Vec<(bool, &'static str)> =
        PUBLISH.map(|phase| (true, phase)).into_iter().chain(INFER.map(|p| (false, p))).collect();
    let victims = [Victim::Enclave, Victim::Host, Victim::Owner];
    let mut schedule: Vec<(Victim, bool, &'static str)> = victims
        .iter()
        .flat_map(|&victim| steps.iter().map(move |&(publish, phase)| (victim, publish, phase)))
        .collect();
    // The longest step is where most can go wrong.
    schedule.extend(victims.iter().flat_map(|&v| [(v, false, "evaluate"); 3]));
    for number in 0..moments {
        if number % schedule.len() == 0 {
            for i in (1..schedule.len()).rev() {
                schedule.swap(i, random.below(i as u64 + 1) as usize);
            }
        }
        let (victim, publish, phase) = schedule[number % schedule.len()];
        let moment = bench.moment(victim, phase, &mut random);
        eprintln!("{number}: {} {moment:?}", if publish { "publish" } else { "infer" });
        if publish {
            bench.kill_during_publish(moment);
        } else {
            bench.kill_during_infer(moment);
        }
    }
    bench.ledger.check_all(&mut bench.world);
    eprintln!("{moments} kills in {:.0?}: {:#?}", began.elapsed(), bench.outcomes);
}

fn seed(default: u64) -> u64 {
    let seed = std::env::var("ADYTON_KILL_SEED").map_or(default, |seed| seed.parse().unwrap());
    eprintln!("ADYTON_KILL_SEED={seed}");
    seed
}

#[test]
fn any_process_may_be_killed_at_any_moment() {
    run(seed(20_260), 14);
}

#[test]
#[ignore = "a quarter of an hour: many moments, other ones each time"]
fn any_process_may_be_killed_at_very_many_moments() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let moments = std::env::var("ADYTON_KILL_MOMENTS").map_or(400, |n| n.parse().unwrap());
    run(seed(now.as_secs()), moments);
}
