//! Things that are not the result of the job: weights, keys, other people's results, other forms.

use adyton_ckks::codec::HEADER_LEN;
use adyton_ckks::{Ciphertext, ModelKey, ResultKey, Scale};
use adyton_enclave_weakened::Defence;
use adyton_ring::{Ntt, Poly};
use adyton_wire::statement::AUDIT_RATE_ALL;
use adyton_wire::{Request, Signed, message};

use crate::common::{KEYS, LANES, WEIGHTS, key};
use crate::world::{Got, Setup, World};
use crate::{Level, Report, Run};

/// Whether values are what an attacker hopes for.
pub(crate) fn close(values: &[f64], hoped: &[f64], tolerance: f64) -> bool {
    values.len() == hoped.len()
        && values.iter().zip(hoped).all(|(value, hope)| (value - hope).abs() < tolerance)
}

/// Far above flooding and rounding, far below the values.
pub(crate) const TOLERANCE: f64 = 0.05;

/// The encrypted weights, brought to the result's level and scale by leaving out primes.
fn lowered(world: &World) -> anyhow::Result<(Poly<Ntt>, Poly<Ntt>)> {
    let model = world.evaluator.rescale(&world.hosts[0].model)?;
    let basis = world.model.parameters.basis(0)?;
    Ok((model.b().restrict(basis)?, model.a().restrict(basis)?))
}

/// The scale of results.
fn result_scale(world: &World) -> anyhow::Result<Scale> {
    Ok(world.evaluate(0, &world.input(0))?.scale().clone())
}

pub(crate) fn weight() -> anyhow::Result<Report> {
    let run = |missing: &[Defence], as_result: bool| -> anyhow::Result<Run> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let parameters = &world.model.parameters;
        let (b, a) = lowered(&world)?;
        let scale = result_scale(&world)?;
        let bytes = match as_result {
            true => Ciphertext::<ResultKey>::from_parts(parameters, b, a, 0, scale)?
                .encode(parameters)?,
            false => Ciphertext::<ModelKey>::from_parts(parameters, b, a, 0, scale)?
                .encode(parameters)?,
        };
        let got = world.release_bytes(0, &world.job(0), bytes)?;
        let read = got.values().and_then(|values| values.get(..WEIGHTS.len()));
        let right = read.is_some_and(|read| close(read, &WEIGHTS, TOLERANCE));
        let found = if right {
            format!("the weights: {:.2?}", read.unwrap_or_default())
        } else {
            got.to_string()
        };
        Ok(Run::new(right, found))
    };
    let (as_it_is, relabelled) = (run(&[], false)?, run(&[], true)?);
    Ok(Report {
        attack: "a weight ciphertext released",
        level: Level::C,
        defence: "decryption under result keys alone, and the noise check",
        off: run(&[Defence::ResultKeyOnly, Defence::Noise], false)?,
        on: Run::new(
            as_it_is.succeeded || relabelled.succeeded,
            format!("{}; relabelled as a result: {}", as_it_is.found, relabelled.found),
        ),
        bound: None,
    })
}

pub(crate) fn evaluation_key() -> anyhow::Result<Report> {
    // (b, a) of every digit of every key, its limb at the result's prime, as a result.
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let parameters = &world.model.parameters;
        let honest = world.evaluate(0, &world.input(0))?;
        let made = key(
            &mut |request| {
                world.call(request).unwrap_or_else(|_| adyton_wire::Problem::Internal.into())
            },
            world.owners[0].id(),
            0,
        );
        let good = honest.encode(parameters)?;
        // Header, role, level and scale of an honest result; then bytes of the key.
        let prefix = HEADER_LEN + 2 + honest.scale().encoded_len();
        let (head, body) = (&good[..prefix], good.len() - prefix);
        let (mut released, mut tried, mut last) = (0, 0, None);
        for chunk in made.key.get(prefix..).unwrap_or_default().chunks_exact(body) {
            let got = world.release_bytes(0, &world.job(0), [head, chunk].concat())?;
            tried += 1;
            released += usize::from(got.values().is_some());
            last = Some(got);
        }
        let last = last.map_or_else(String::new, |got| format!(" ({got})"));
        let found = format!("{released} of {tried} pieces of a key released{last}");
        Ok(Run::new(released > 0, found))
    };
    Ok(Report {
        attack: "pieces of an evaluation key released as results",
        level: Level::C,
        defence: "the noise check and the range",
        off: run(&[Defence::Noise, Defence::Range])?,
        on: run(&[])?,
        bound: None,
    })
}

pub(crate) fn victims_result() -> anyhow::Result<Report> {
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let victims = world.evaluate(1, &world.input(1))?;
        let got = world.release(0, &victims)?;
        let right = got.values().is_some_and(|read| close(read, &world.expected(), TOLERANCE));
        let found = if right {
            "the victim's results, sealed to the accomplice".to_owned()
        } else {
            got.to_string()
        };
        Ok(Run::new(right, found))
    };
    Ok(Report {
        attack: "a victim's ciphertext in another owner's session",
        level: Level::C,
        defence: "a result key for every session",
        off: run(&[Defence::OwnKey])?,
        on: run(&[])?,
        bound: None,
    })
}

/// A wrong result for a victim's honest job.
fn wrong_result(
    attack: &'static str,
    wrong: impl Fn(&World) -> anyhow::Result<Ciphertext<ResultKey>>,
) -> anyhow::Result<Report> {
    let run = |audit_ppm: u32| -> anyhow::Result<Run> {
        let world = World::new(Setup { audit_ppm, ..Setup::default() })?;
        let got = world.release(1, &wrong(&world)?)?;
        Ok(match &got {
            Got::Values(values) => {
                let wrong = !close(values, &world.expected(), TOLERANCE);
                Run::new(wrong, "the owner is told a wrong result with a valid receipt")
            }
            Got::Demanded(demand) => {
                let proof = world.audit(demand, &world.input(1), 1)?;
                let then = world.release(1, &world.evaluate(1, &world.input(1))?)?;
                let found = match proof {
                    Some(_) => format!("{got}; a signed proof convicts the host; then {then}"),
                    None => format!("{got}; the auditor agrees"),
                };
                Run::new(proof.is_none(), found)
            }
            _ => Run::new(false, got.to_string()),
        })
    };
    Ok(Report {
        attack,
        level: Level::B,
        defence: "audits",
        off: run(0)?,
        on: run(AUDIT_RATE_ALL)?,
        bound: Some("passes with probability 1 − p at audit rate p".to_owned()),
    })
}

pub(crate) fn swapped_jobs() -> anyhow::Result<Report> {
    wrong_result("the result of another job of the session", |world| {
        let other = world.owners[1].input(&world.model, &[[0.5, -0.5, 1.0]; LANES]);
        world.evaluate(1, &other)
    })
}

pub(crate) fn another_model() -> anyhow::Result<Report> {
    wrong_result("the result of another model: the weights twice over", |world| {
        let model = &world.hosts[1].model;
        let doubled = world.evaluator.add(model, model)?;
        world.evaluate_with(1, &doubled, &world.input(1))
    })
}

pub(crate) fn unsigned_job() -> anyhow::Result<Report> {
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let bytes = world.evaluate(1, &world.input(1))?.encode(&world.model.parameters)?;
        // A job in the victim's session, signed by the accomplice.
        let job = world.job(1);
        let signed = Signed::new(&job, &world.owners[0].key);
        let request = message::Release { job: signed, ciphertexts: bytes, keys: KEYS };
        let got = world.got(1, &job, world.call(Request::Release(request))?)?;
        let spent = got.values().is_some();
        let found =
            if spent { "the victim's quota and ledger spent".to_owned() } else { got.to_string() };
        Ok(Run::new(spent, found))
    };
    Ok(Report {
        attack: "a job in a victim's session that it never signed",
        level: Level::B,
        defence: "the owner's signature",
        off: run(&[Defence::Owner])?,
        on: run(&[])?,
        bound: None,
    })
}

/// What is not of a result's form, made of an honest result.
fn malformed(world: &World) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let parameters = &world.model.parameters;
    let honest = world.evaluate(0, &world.input(0))?;
    let good = honest.encode(parameters)?;
    let (b, a) = (honest.b().clone(), honest.a().clone());
    let twice = honest.scale().mul(&Scale::pow2(1));
    let rescaled = Ciphertext::<ResultKey>::from_parts(parameters, b, a, 0, twice)?;
    let higher = world.points_at_result_key(&vec![0.0; world.slots()])?;
    Ok(vec![
        ("truncated", good.get(..good.len() - 1).unwrap_or_default().to_vec()),
        ("oversized", [good.as_slice(), &[0]].concat()),
        ("doubled", [good.as_slice(), &good].concat()),
        ("of another level", higher.encode(parameters)?),
        ("of another scale", rescaled.encode(parameters)?),
    ])
}

pub(crate) fn forms() -> anyhow::Result<Report> {
    // Which of them are decrypted.
    let run = |missing: &[Defence]| -> anyhow::Result<(Vec<&str>, usize)> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let cases = malformed(&world)?;
        let (mut taken, all) = (Vec::new(), cases.len());
        for (name, bytes) in cases {
            let got = world.release_bytes(0, &world.job(0), bytes)?;
            if !matches!(got, Got::Refused(_)) {
                taken.push(name);
            }
        }
        Ok((taken, all))
    };
    let (off, all) = run(&[Defence::Form])?;
    let (on, _) = run(&[])?;
    Ok(Report {
        attack: "truncated, oversized, of another level or scale",
        level: Level::B,
        defence: "one form alone",
        off: Run::new(off.len() == all, format!("decrypted: {}", off.join(", "))),
        on: match on.as_slice() {
            [] => Run::new(false, format!("all {all} refused before decryption")),
            taken => Run::new(true, format!("decrypted: {}", taken.join(", "))),
        },
        bound: None,
    })
}
