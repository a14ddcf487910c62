//! Key recovery: for the ciphertext (0, m) the "result" is m·s. Its slots are products of the slots of m and s, and the key's are
//! enough to know its coefficients.

use adyton_ckks::{Ciphertext, ResultKey, Scale};
use adyton_client::leakage::{DELTA, LeakBound};
use adyton_enclave_weakened::Defence;
use adyton_ring::{Ntt, Poly};
use adyton_wire::statement::{AUDIT_RATE_ALL, Checks};

use crate::common::{LANES, WEIGHTS};
use crate::network::{Layout, OUTPUTS, RANGE};
use crate::world::{Got, Setup, World};
use crate::{Level, Report, Run};

/// Whose key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// s_R of the accomplice's session.
    Result,
    /// s_M, by way of the evaluation keys.
    Model,
}

/// How the ciphertext is dressed.
#[derive(Clone, Copy)]
struct Dress {
    target: Target,
    /// Positions that a query reads.
    width: usize,
    /// Lanes that a query reads; the others hold what an honest job gives.
    lanes: usize,
    /// m is zero where no output stands.
    masked: bool,
    /// Added to a fresh honest result.
    added: bool,
    /// Size of m's slots.
    amplitude: f64,
}

const RAW: Dress = Dress {
    target: Target::Result,
    width: OUTPUTS,
    lanes: LANES,
    masked: false,
    added: false,
    // The key's slots stay below 64.
    amplitude: RANGE / 64.0,
};
/// The copy of output 3 must agree with it: it stays zero.
const MASKED: Dress = Dress { masked: true, width: OUTPUTS - 1, ..RAW };
/// Room for what is added.
const ADDED: Dress = Dress { added: true, amplitude: RANGE / 256.0, ..MASKED };

/// What querying led to.
struct Stolen {
    /// Slots of the key, as far as they were learned.
    slots: Vec<Option<f64>>,
    releases: usize,
    /// What ended it early.
    stopped: Option<Got>,
    /// The proof of an audit.
    convicted: bool,
}

/// Queries until the whole key is read or something stops it.
fn steal(world: &World, dress: Dress) -> anyhow::Result<Stolen> {
    let mut stolen =
        Stolen { slots: vec![None; world.slots()], releases: 0, stopped: None, convicted: false };
    let positions = world.positions();
    for first in (0..positions).step_by(dress.width) {
        for lane in (0..LANES).step_by(dress.lanes) {
            let read = (first, dress.width.min(positions - first), lane);
            let got = world.release(0, &query(world, dress, read)?)?;
            stolen.releases += 1;
            let Got::Values(values) = &got else {
                if let Got::Demanded(demand) = &got {
                    stolen.convicted = world.audit(demand, &world.input(0), 0)?.is_some();
                }
                stolen.stopped = Some(got);
                return Ok(stolen);
            };
            take(world, dress, read, values, &mut stolen.slots);
        }
    }
    Ok(stolen)
}

/// The ciphertext that reads `width` positions from `first` on, in lanes from `lane` on.
fn query(
    world: &World,
    dress: Dress,
    (first, width, lane): (usize, usize, usize),
) -> anyhow::Result<Ciphertext<ResultKey>> {
    let mut m = vec![0.0; world.slots()];
    for (slot, m) in m.iter_mut().enumerate() {
        let within = (first..first + width).contains(&(slot / LANES))
            && (lane..lane + dress.lanes).contains(&(slot % LANES));
        if within || !dress.masked {
            *m = dress.amplitude;
        }
    }
    let pointed = match dress.target {
        Target::Result => world.points_at_result_key(&m)?,
        Target::Model => world.points_at_model_key(0, &m)?,
    };
    let crafted = world.rotated(0, pointed, first)?;
    if dress.added {
        let honest = world.evaluate(0, &world.input(0))?;
        return Ok(world.evaluator.add(&honest, &crafted)?);
    }
    Ok(crafted)
}

/// Reads the key's slots from released values.
fn take(
    world: &World,
    dress: Dress,
    (first, width, lane): (usize, usize, usize),
    values: &[f64],
    slots: &mut [Option<f64>],
) {
    let outputs = values.len() / LANES;
    let honest = world.expected();
    for lane in lane..lane + dress.lanes {
        for position in 0..width {
            let at = lane * outputs + position;
            let own = if dress.added { honest.get(at).copied().unwrap_or(0.0) } else { 0.0 };
            if let (Some(value), Some(slot)) =
                (values.get(at), slots.get_mut((first + position) * LANES + lane))
            {
                *slot = Some((value - own) / dress.amplitude);
            }
        }
    }
}

/// The ternary polynomial with these slots, at a level; `None` for one that is not ternary.
fn ternary(world: &World, slots: &[f64], level: u8) -> anyhow::Result<Option<Poly<Ntt>>> {
    let key = world.encoder.encode(slots, level, &Scale::one())?;
    let coefficients = world.encoder.centred_coefficients(key.poly())?;
    Ok(coefficients.iter().all(|c| c.abs() <= 1.0).then(|| key.poly().clone()))
}

/// Whether `key` opens a ciphertext (b, a) to `expected` in its first places.
fn opens(
    world: &World,
    key: &Poly<Ntt>,
    (b, a): (&Poly<Ntt>, &Poly<Ntt>),
    scale: &Scale,
    expected: &[f64],
) -> anyhow::Result<bool> {
    let ring = world.model.parameters.ring();
    let mut phase = a.clone();
    ring.mul_assign(&mut phase, key)?;
    ring.add_assign(&mut phase, b)?;
    let slots = world.encoder.decode_poly(&phase, scale)?;
    Ok(expected.iter().enumerate().all(|(position, want)| {
        slots.get(position * LANES).is_some_and(|slot| (slot - want).abs() < 1e-6)
    }))
}

/// Whether the slots are those of the key, shown by what it opens: an honest result, or the encrypted weights.
pub(crate) fn is_result_key(world: &World, slots: &[f64]) -> anyhow::Result<bool> {
    let Some(key) = ternary(world, slots, 0)? else { return Ok(false) };
    let honest = world.evaluate(0, &world.input(0))?;
    let expected = world.expected();
    let expected = expected.get(..OUTPUTS).unwrap_or_default();
    opens(world, &key, (honest.b(), honest.a()), honest.scale(), expected)
}

fn is_model_key(world: &World, slots: &[f64]) -> anyhow::Result<bool> {
    let Some(key) = ternary(world, slots, 2)? else { return Ok(false) };
    let model = &world.hosts[0].model;
    opens(world, &key, (model.b(), model.a()), model.scale(), &WEIGHTS)
}

/// Runs it and says what came of it.
fn run(setup: Setup<'_>, dress: Dress) -> anyhow::Result<Run> {
    let world = World::new(setup)?;
    let stolen = steal(&world, dress)?;
    let all: Option<Vec<f64>> = stolen.slots.iter().copied().collect();
    let right = match (all, dress.target) {
        (None, _) => false,
        (Some(slots), Target::Result) => is_result_key(&world, &slots)?,
        (Some(slots), Target::Model) => is_model_key(&world, &slots)?,
    };
    let (slots, known) = (world.slots(), stolen.slots.iter().flatten().count());
    let releases = stolen.releases;
    let found = match (&stolen.stopped, right) {
        (_, true) => format!(
            "all {slots} coefficients of {} in {releases} releases; it opens {}",
            if dress.target == Target::Model { "s_M" } else { "s_R" },
            if dress.target == Target::Model { "the weights" } else { "an honest result" },
        ),
        (Some(stopped), _) if stolen.convicted => format!(
            "{stopped}, convicted with a signed proof after {known} of {slots} slots of the key"
        ),
        (Some(stopped), _) => {
            format!("{stopped}, after {known} of {slots} slots of the key were read")
        }
        (None, false) => format!("{releases} releases, and what they say is not the key"),
    };
    Ok(Run::new(right, found))
}

/// The bits that a world's policy lets out at level C.
fn bound(setup: Setup<'_>, outputs: usize) -> anyhow::Result<String> {
    let world = World::new(setup)?;
    let leak = LeakBound::new(&world.model.statement.policy, LANES as u32, outputs as u32, DELTA);
    let of_key = world.slots() as f64 * 3f64.log2();
    Ok(match leak.before_caught {
        Some(bits) => format!(
            "at audit rate p, β·ln(1/δ)/p = {bits:.0}/p bits but for 2^-20; the key has {of_key:.0}"
        ),
        None => format!(
            "the session's ledger of {} bits, of the {of_key:.0} that the key has",
            world.model.statement.policy.bits_per_session
        ),
    })
}

const AUDITED: Setup<'static> = Setup { audit_ppm: AUDIT_RATE_ALL, ..UNAUDITED };
const UNAUDITED: Setup<'static> = Setup::USUAL;

/// An attack that honest-looking slots get past every check: what stops it is an audit.
fn against_audits(
    attack: &'static str,
    (layout, outputs): (Layout, usize),
    dress: Dress,
) -> anyhow::Result<Report> {
    let setup = Setup { layout, ..AUDITED };
    Ok(Report {
        attack,
        level: Level::C,
        defence: "audits",
        off: run(Setup { layout, ..UNAUDITED }, dress)?,
        on: run(setup, dress)?,
        bound: Some(bound(setup, outputs)?),
    })
}

pub(crate) fn raw() -> anyhow::Result<Report> {
    Ok(Report {
        attack: "s_R by (0, m), as it is",
        level: Level::C,
        defence: "the noise check",
        off: run(Setup { missing: &[Defence::Noise], ..UNAUDITED }, RAW)?,
        on: run(UNAUDITED, RAW)?,
        bound: None,
    })
}

pub(crate) fn masked() -> anyhow::Result<Report> {
    let ordinary = (Layout::Declared, OUTPUTS);
    against_audits("s_R by (0, m), m zero where nothing is declared", ordinary, MASKED)
}

pub(crate) fn added() -> anyhow::Result<Report> {
    let ordinary = (Layout::Declared, OUTPUTS);
    against_audits("s_R by (0, m) added to fresh honest results", ordinary, ADDED)
}

pub(crate) fn lanes() -> anyhow::Result<Report> {
    let ordinary = (Layout::Declared, OUTPUTS);
    let dress = Dress { lanes: 1, ..ADDED };
    against_audits("s_R by (0, m) in single lanes of honest jobs", ordinary, dress)
}

pub(crate) fn every_slot() -> anyhow::Result<Report> {
    let positions = World::new(UNAUDITED)?.positions();
    let dress = Dress { width: positions, ..RAW };
    against_audits(
        "s_R by (0, m) where every slot is declared: one query",
        (Layout::EverySlot, positions),
        dress,
    )
}

pub(crate) fn within_the_ledger() -> anyhow::Result<Report> {
    // One release: 83 bits, where the key has 101.
    let bits = 5;
    let release = (LANES * OUTPUTS) as u64 * u64::from(bits) + Checks::BITS;
    let setup = Setup { ledger: release, bits, ..UNAUDITED };
    Ok(Report {
        attack: "s_R by (0, m), as far as the ledger goes",
        level: Level::C,
        defence: "the ledger",
        off: run(Setup { missing: &[Defence::Ledger], ..setup }, MASKED)?,
        on: run(setup, MASKED)?,
        bound: Some(bound(setup, OUTPUTS)?),
    })
}

pub(crate) fn as_noise() -> anyhow::Result<Report> {
    // Slots as large as the noise check lets pass, codes as fine as they get.
    let setup = Setup { range: 1.0 / 256.0, bits: 30, ..UNAUDITED };
    let dress = Dress { amplitude: 2f64.powi(-33), width: OUTPUTS, masked: false, ..RAW };
    Ok(Report {
        attack: "s_R by (0, m) no larger than noise",
        level: Level::C,
        defence: "flooding",
        off: run(Setup { missing: &[Defence::Flooding], ..setup }, dress)?,
        on: run(setup, dress)?,
        bound: None,
    })
}

pub(crate) fn model_key() -> anyhow::Result<Report> {
    let dress = Dress { target: Target::Model, ..RAW };
    Ok(Report {
        attack: "s_M by the weight (0, m) and the evaluation keys",
        level: Level::C,
        defence: "the noise check",
        off: run(Setup { missing: &[Defence::Noise], ..UNAUDITED }, dress)?,
        on: run(UNAUDITED, dress)?,
        bound: None,
    })
}

pub(crate) fn model_key_masked() -> anyhow::Result<Report> {
    let dress = Dress { target: Target::Model, ..MASKED };
    against_audits(
        "s_M by the weight (0, m), m zero where nothing is declared",
        (Layout::Declared, OUTPUTS),
        dress,
    )
}
