//! What the noise of honest results says.

use adyton_ckks::Scale;
use adyton_enclave_weakened::Defence;
use adyton_wire::Request;

use crate::common::LANES;
use crate::keys::is_result_key;
use crate::network::Layout;
use crate::world::{Got, Setup, World};
use crate::{Level, Report, Run};

/// Li and Micciancio (ePrint 2020/1533): from an exact decryption w of an honest ciphertext (b, a), s = (w − b)/a.
fn divide(setup: Setup<'_>) -> anyhow::Result<Run> {
    let world = World::new(setup)?;
    let ciphertext = world.evaluate(0, &world.input(0))?;
    let got = world.release(0, &ciphertext)?;
    let Some(values) = got.values() else { return Ok(Run::new(false, got.to_string())) };
    let positions = world.positions();
    let mut slots = vec![0.0; world.slots()];
    for (slot, value) in slots.iter_mut().enumerate() {
        let (position, lane) = (slot / LANES, slot % LANES);
        *value = values.get(lane * positions + position).copied().unwrap_or(0.0);
    }
    let ring = world.model.parameters.ring();
    let mut key = world.encoder.encode(&slots, 0, ciphertext.scale())?.poly().clone();
    ring.sub_assign(&mut key, ciphertext.b())?;
    let modulus = ring.modulus(0);
    for (key, a) in key.limb_mut(0).iter_mut().zip(ciphertext.a().limb(0)) {
        *key = modulus.mul(*key, modulus.inv(*a));
    }
    let slots = world.encoder.decode_poly(&key, &Scale::one())?;
    let right = is_result_key(&world, &slots)?;
    let found = match right {
        true => "all coefficients of s_R from one honest result; it opens another".to_owned(),
        false => "one honest result, and (w − b)/a is not the key".to_owned(),
    };
    Ok(Run::new(right, found))
}

pub(crate) fn honest_results() -> anyhow::Result<Report> {
    // The worst case: every slot released, in codes as fine as the ring itself.
    let setup =
        Setup { layout: Layout::EverySlot, range: 1.0 / 2048.0, bits: 30, ..Setup::default() };
    Ok(Report {
        attack: "s_R from an honest result (Li–Micciancio)",
        level: Level::A,
        defence: "flooding",
        off: divide(Setup { missing: &[Defence::Flooding], ..setup })?,
        on: divide(setup)?,
        bound: Some("2^-30 of statistical distance a session (ePrint 2022/816)".to_owned()),
    })
}

/// How often a released result is asked for again.
const REPLAYS: usize = 256;

/// Asks for the same release again and again, and takes the mean.
fn average(setup: Setup<'_>) -> anyhow::Result<Run> {
    let world = World::new(setup)?;
    let job = world.job(0);
    let bytes = world.evaluate(0, &world.input(0))?.encode(&world.model.parameters)?;
    let expected = world.expected();
    let (mut sum, mut single) = (vec![0.0; expected.len()], None);
    let rms = |values: &[f64]| {
        let squares: f64 = values.iter().zip(&expected).map(|(v, e)| (v - e).powi(2)).sum();
        (squares / expected.len() as f64).sqrt()
    };
    for _ in 0..REPLAYS {
        let request = Request::Release(world.owners[0].release(&job, bytes.clone()));
        let got = world.got(0, &job, world.call(request)?)?;
        let Got::Values(values) = got else { return Ok(Run::new(false, got.to_string())) };
        single.get_or_insert_with(|| rms(&values));
        sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
    }
    let single = single.unwrap_or(0.0);
    sum.iter_mut().for_each(|sum| *sum /= REPLAYS as f64);
    let averaged = rms(&sum);
    let less = single / averaged;
    let found = format!(
        "{REPLAYS} replays of one job: error 2^{:.1} alone, 2^{:.1} in the mean",
        single.log2(),
        averaged.log2()
    );
    Ok(Run::new(less > 4.0, found))
}

pub(crate) fn averaged_replays() -> anyhow::Result<Report> {
    let setup = Setup { bits: 30, ..Setup::default() };
    Ok(Report {
        attack: "flooding averaged away by replays",
        level: Level::C,
        defence: "single use of a job",
        off: average(Setup { missing: &[Defence::SingleUse], ..setup })?,
        on: average(setup)?,
        bound: None,
    })
}
