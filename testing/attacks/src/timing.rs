//! What the time of replies says: the host measures releases of a victim's jobs whose ciphertexts it altered, in random order, and
//! looks for a dependence by dudect's test.
//!
//! Refusals before decryption are not among them: they rest on what the host has itself, so their time tells it nothing.

use std::time::Instant;

use adyton_ckks::{Ciphertext, ResultKey};
use adyton_enclave_weakened::Defence;
use adyton_wire::{Reply, Request, Response, random_bytes};

use crate::common::LANES;
use crate::foreign::TOLERANCE;
use crate::network::RANGE;
use crate::oracle::{search, shift};
use crate::welch::{CERTAIN, largest_t};
use crate::world::{Setup, World};
use crate::{Level, Report, Run};

/// Result ciphertexts of a job; the first is altered.
const GROUPS: usize = 32;
/// Releases of each content at once, and how often: until a dependence is certain, or to the end.
const BATCH: usize = 250;
const BATCHES: usize = 6;
/// Releases before the first that counts.
const WARM_UP: usize = 50;
/// Searches, of whose results the middle one counts: a step that goes wrong spoils one.
const SEARCHES: usize = 3;
/// Releases of each content that a step of the search compares at once, how often it does so at most, and how much nearer to one than
/// to the other is clear. It goes by the lower quartile: whatever disturbs adds time.
const PROBES: usize = 25;
const ROUNDS: usize = 8;
const CLEAR: f64 = 4.0;

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
            std::iter::once(&altered).chain(std::iter::repeat_n(&self.honest, GROUPS - 1));
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

    /// Adds to the contents' times, in random order.
    fn measure(&self, contents: &[Content], times: &mut [Vec<f64>]) -> anyhow::Result<()> {
        for i in 0..BATCH * contents.len() + WARM_UP {
            let chosen = usize::from(u16::from_le_bytes(random_bytes()?)) % contents.len();
            if let (Some(content), Some(times)) = (contents.get(chosen), times.get_mut(chosen)) {
                let time = self.time(content.ciphertexts.clone())?;
                if i >= WARM_UP {
                    times.push(time);
                }
            }
        }
        Ok(())
    }
}

fn quantile(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0.0)
}

/// |t| of each further content's times against those of the first.
fn against_first(times: &[Vec<f64>]) -> Vec<f64> {
    let class = |of, times: &[f64]| times.iter().map(|&time| (of, time)).collect::<Vec<_>>();
    let Some((first, others)) = times.split_first() else { return Vec::new() };
    let t = |times: &Vec<f64>| largest_t(&[class(true, first), class(false, times)].concat());
    others.iter().map(t).collect()
}

/// Whether a dependence is certain, and what to say of the measurement.
fn dependence(watch: &Watch<'_>, contents: &[Content]) -> anyhow::Result<(bool, String)> {
    let mut times = vec![Vec::new(); contents.len()];
    let mut found = Vec::new();
    for _ in 0..BATCHES {
        watch.measure(contents, &mut times)?;
        found = against_first(&times);
        if found.iter().any(|&t| t >= CERTAIN) {
            break;
        }
    }
    let listed: Vec<String> = contents
        .iter()
        .skip(1)
        .zip(&found)
        .map(|(content, t)| format!("{} {t:.1}", content.name))
        .collect();
    let (count, first) = times.first().map_or((0, 0.0), |t| (t.len(), quantile(t, 0.5)));
    let said = format!(
        "about {count} releases of each content, {:.0} µs one; |t| against released ones: {}",
        first / 1000.0,
        listed.join(", ")
    );
    Ok((found.iter().any(|&t| t >= CERTAIN), said))
}

/// The search by time: which of two contents, the released and the withheld, a probe is nearer to.
fn by_time(watch: &Watch<'_>, contents: &[Content]) -> anyhow::Result<f64> {
    let [released, _, beyond, ..] = contents else { anyhow::bail!("two contents to compare with") };
    search(watch.world, |shifted| {
        let probe = watch.batch(shifted)?;
        let compared = [&probe, &released.ciphertexts, &beyond.ciphertexts];
        let mut times = [const { Vec::new() }; 3];
        let mut to_beyond = 0.0;
        let mut to_released = 0.0;
        for _ in 0..ROUNDS {
            for _ in 0..PROBES {
                for (times, ciphertexts) in times.iter_mut().zip(compared) {
                    times.push(watch.time(ciphertexts.clone())?);
                }
            }
            let [probe, released, beyond] = times.each_ref().map(|times| quantile(times, 0.25));
            (to_beyond, to_released) = ((probe - beyond).abs(), (probe - released).abs());
            if f64::max(to_beyond, to_released) > CLEAR * f64::min(to_beyond, to_released) {
                break;
            }
        }
        Ok(to_beyond < to_released)
    })
}

/// A run, and whether the host found the output that it searched for.
fn run(missing: &[Defence]) -> anyhow::Result<(Run, bool)> {
    let (jobs, ciphertexts) = (u32::MAX, u32::MAX);
    let setup = Setup { missing, jobs, ciphertexts, ledger: 1 << 40, ..Setup::default() };
    let world = World::new(setup)?;
    let watch = Watch::new(&world)?;
    let contents = watch.contents()?;
    let (certain, said) = dependence(&watch, &contents)?;
    if !certain {
        return Ok((Run::new(false, said), false));
    }
    let mut searches = Vec::new();
    for _ in 0..SEARCHES {
        searches.push(by_time(&watch, &contents)?);
    }
    let (found, right) = (quantile(&searches, 0.5), world.expected()[0]);
    let told = (found - right).abs() < TOLERANCE;
    let says = match told {
        true => {
            format!("a victim's output is {found:.2} (it is {right:.2}), by the time of releases")
        }
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
            "no dependence that {} releases of each content show (|t| below {CERTAIN:.0})",
            BATCH * BATCHES
        )),
    })
}
