//! What the time of replies says: the host measures releases of a victim's jobs whose ciphertexts it altered, in random order, and
//! looks for a dependence by dudect's test.
//!
//! Refusals before decryption are not among them: they rest on what the host has itself, so their time tells it nothing.

use std::time::Instant;

use adyton_ckks::{Ciphertext, ResultKey};
use adyton_enclave_weakened::Defence;
use adyton_wire::{Reply, Request, Response, random_bytes};
use anyhow::Context;

use crate::common::LANES;
use crate::foreign::TOLERANCE;
use crate::network::RANGE;
use crate::oracle::{STEPS, search, shift};
use crate::welch::{CERTAIN, largest_t};
use crate::world::{Setup, World};
use crate::{Level, Report, Run};

/// Result ciphertexts of a job.
const GROUPS: usize = 16;
/// The altered one of them.
const ALTERED: usize = GROUPS / 2;
/// Releases of each content.
const SAMPLES: usize = 1000;
/// Releases before the first that counts.
const WARM_UP: usize = 50;
/// A disturbance of the machine passes, a dependence stays.
const ATTEMPTS: usize = 3;
/// Releases of each content that a step of the search compares.
const PROBES: usize = 15;

/// What a victim's job is answered with.
struct Content {
    name: &'static str,
    ciphertexts: Vec<u8>,
}

/// A host with a stopwatch.
struct Watch<'a> {
    world: &'a World,
    /// The encoded honest result.
    honest: Vec<u8>,
}

impl<'a> Watch<'a> {
    fn new(world: &'a World) -> anyhow::Result<Self> {
        let honest = world.evaluate(1, &world.input(1))?.encode(&world.model.parameters)?;
        Ok(Self { world, honest })
    }

    /// A job's results, one of them this.
    fn batch(&self, altered: &Ciphertext<ResultKey>) -> anyhow::Result<Vec<u8>> {
        let altered = altered.encode(&self.world.model.parameters)?;
        let results =
            (0..GROUPS).map(|group| if group == ALTERED { &altered } else { &self.honest });
        Ok(results.flatten().copied().collect())
    }

    /// What is released, what each check withholds, and another secret: the first is what the others are compared with.
    fn contents(&self) -> anyhow::Result<Vec<Content>> {
        let world = self.world;
        let honest = world.evaluate(1, &world.input(1))?;
        let other = world.owners[1].input(&world.model, &[[-3.5, 3.0, 1.5]; LANES]);
        let altered = |slot, by| shift(world, &honest, slot, by);
        let last = world.positions() - 1;
        let contents = [
            ("released", honest.clone()),
            ("other values", world.evaluate(1, &other)?),
            ("beyond the range", altered(0, 2.0 * RANGE)?),
            ("no noise", altered((last - 1) * LANES, 1.0)?),
            ("a copy that differs", altered(last * LANES, 1.0)?),
        ];
        let content = |(name, x)| Ok(Content { name, ciphertexts: self.batch(&x)? });
        contents.into_iter().map(content).collect()
    }

    /// Nanoseconds of a release under a fresh job.
    fn time(&self, ciphertexts: Vec<u8>) -> anyhow::Result<f64> {
        let owner = &self.world.owners[1];
        let job = owner.job(&self.world.model, (GROUPS * LANES) as u32, GROUPS as u32);
        let request = Request::Release(owner.release(&job, ciphertexts)).encode();
        let start = Instant::now();
        let reply = self.world.serve(&request)?;
        let time = start.elapsed().as_nanos() as f64;
        let released = matches!(Reply::decode(&reply)?.response, Response::Released(_));
        anyhow::ensure!(released, "a release was refused");
        Ok(time)
    }

    /// The contents' times, in random order.
    fn measure(&self, contents: &[Content]) -> anyhow::Result<Vec<Vec<f64>>> {
        let mut times = vec![Vec::with_capacity(SAMPLES); contents.len()];
        for i in 0..SAMPLES * contents.len() + WARM_UP {
            let chosen = usize::from(u16::from_le_bytes(random_bytes()?)) % contents.len();
            if let (Some(content), Some(times)) = (contents.get(chosen), times.get_mut(chosen)) {
                let time = self.time(content.ciphertexts.clone())?;
                if i >= WARM_UP {
                    times.push(time);
                }
            }
        }
        Ok(times)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

/// The largest |t| of a content's times against those of what is released, and what to say of the measurement.
fn dependence(watch: &Watch<'_>, contents: &[Content]) -> anyhow::Result<(f64, String)> {
    let measured = watch.measure(contents)?;
    let (first, others) = measured.split_first().context("nothing was measured")?;
    let class = |of, times: &[f64]| times.iter().map(|&time| (of, time)).collect::<Vec<_>>();
    let against = |times: &Vec<f64>| largest_t(&[class(true, first), class(false, times)].concat());
    let (mut worst, mut listed) = (0.0, Vec::new());
    for (content, times) in contents.iter().skip(1).zip(others) {
        let t = against(times);
        worst = f64::max(worst, t);
        listed.push(format!("{} {t:.1}", content.name));
    }
    let released = median(first.clone()) / 1000.0;
    let listed = listed.join(", ");
    Ok((worst, format!("{released:.0} µs a release, |t| against released ones: {listed}")))
}

/// The search by time: which of two contents, the released and the withheld, a probe is nearer to.
fn by_time(watch: &Watch<'_>, contents: &[Content]) -> anyhow::Result<f64> {
    let [released, _, beyond, ..] = contents else { anyhow::bail!("two contents to compare with") };
    search(watch.world, |shifted| {
        let probe = watch.batch(shifted)?;
        let compared = [&probe, &released.ciphertexts, &beyond.ciphertexts];
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..PROBES {
            for (times, ciphertexts) in times.iter_mut().zip(compared) {
                times.push(watch.time(ciphertexts.clone())?);
            }
        }
        let [probe, released, beyond] = times.map(median);
        Ok((probe - beyond).abs() < (probe - released).abs())
    })
}

/// A run, and whether the host found the output that it searched for.
fn run(missing: &[Defence]) -> anyhow::Result<(Run, bool)> {
    let (jobs, ciphertexts) = (u32::MAX, u32::MAX);
    let setup = Setup { missing, jobs, ciphertexts, ledger: 1 << 40, ..Setup::default() };
    let world = World::new(setup)?;
    let watch = Watch::new(&world)?;
    let contents = watch.contents()?;
    let (mut worst, mut said) = dependence(&watch, &contents)?;
    for _ in 1..ATTEMPTS {
        if worst < CERTAIN {
            break;
        }
        (worst, said) = dependence(&watch, &contents)?;
    }
    if worst < CERTAIN {
        return Ok((Run::new(false, said), false));
    }
    let (found, right) = (by_time(&watch, &contents)?, world.expected()[0]);
    let told = (found - right).abs() < TOLERANCE;
    let says = match told {
        true => format!("a victim's output is {found:.2} (it is {right:.2}), by {STEPS} times"),
        false => format!("a search led to {found:.2}, where {right:.2} is right"),
    };
    Ok((Run::new(true, format!("{says}; {said}")), told))
}

pub(crate) fn releases() -> anyhow::Result<Report> {
    let ((off, told), (on, _)) = (run(&[Defence::SameWork])?, run(&[])?);
    Ok(Report {
        attack: "an output by the time of releases when it exceeds the range",
        level: Level::B,
        defence: "the same work whatever a check finds",
        off: Run { succeeded: told, ..off },
        on,
        bound: Some(format!(
            "no dependence that {SAMPLES} releases of each content show (|t| below {CERTAIN:.0})"
        )),
    })
}
