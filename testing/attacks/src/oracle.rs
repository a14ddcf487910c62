//! What the outside of replies says.

use std::collections::BTreeSet;

use adyton_ckks::{Ciphertext, ResultKey};
use adyton_enclave_weakened::Defence;
use adyton_wire::{Request, Response};

use crate::foreign::TOLERANCE;
use crate::network::RANGE;
use crate::world::{Setup, World};
use crate::{Level, Report, Run};

/// Steps of the search: ±16 to within 2^−6.
const STEPS: usize = 10;

/// A host without any key finds a victim's first output: it adds a public number to it and sees whether the enclave balks at the range.
pub(crate) fn search(
    world: &World,
    mut balks: impl FnMut(&Ciphertext<ResultKey>) -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    let honest = world.evaluate(1, &world.input(1))?;
    let (mut low, mut high) = (-RANGE, RANGE);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        // y > middle is seen by y + (RANGE − middle) > RANGE.
        let shifted = shift(world, &honest, 0, RANGE - middle)?;
        if balks(&shifted)? { low = middle } else { high = middle }
    }
    Ok(f64::midpoint(low, high))
}

/// A ciphertext with a number added in one slot.
pub(crate) fn shift(
    world: &World,
    x: &Ciphertext<ResultKey>,
    slot: usize,
    by: f64,
) -> anyhow::Result<Ciphertext<ResultKey>> {
    let mut slots = vec![0.0; world.slots()];
    if let Some(slot) = slots.get_mut(slot) {
        *slot = by;
    }
    let plain = world.encoder.encode(&slots, 0, x.scale())?;
    Ok(world.evaluator.add_plain(x, &plain)?)
}

/// The search by whether the enclave refuses, and whether replies differ on their outside.
fn by_replies(missing: &[Defence]) -> anyhow::Result<Run> {
    let world = World::new(Setup { missing, ..Setup::default() })?;
    let (mut outsides, mut balked) = (BTreeSet::new(), 0);
    let found = search(&world, |shifted| {
        let job = world.job(1);
        let bytes = shifted.encode(&world.model.parameters)?;
        let reply = world.call(Request::Release(world.owners[1].release(&job, bytes)))?;
        let refused = matches!(reply.response, Response::Refused(_));
        outsides.insert((refused, reply.encode().len()));
        balked += usize::from(refused);
        Ok(refused)
    })?;
    let right = world.expected()[0];
    let told = (found - right).abs() < TOLERANCE && balked > 0;
    let says = match told {
        true => format!("a victim's output is {found:.2} (it is {right:.2}), by {STEPS} reactions"),
        false => format!("{STEPS} probes, {} outside appearance", outsides.len()),
    };
    // A second appearance would be an oracle, whether this search can use it or not.
    Ok(Run::new(told || outsides.len() > 1, says))
}

pub(crate) fn replies() -> anyhow::Result<Report> {
    Ok(Report {
        attack: "an output by errors and sizes of replies when it exceeds the range",
        level: Level::B,
        defence: "verdicts inside the seal, replies of one size",
        off: by_replies(&[Defence::Silence])?,
        on: by_replies(&[])?,
        bound: None,
    })
}
