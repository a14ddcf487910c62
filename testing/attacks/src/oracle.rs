//! What the outside of replies says.

use std::collections::BTreeSet;

use adyton_enclave_weakened::Defence;
use adyton_wire::{Request, Response};

use crate::world::{RANGE, Setup, World};
use crate::{Level, Report, Run};

/// Steps of the search: ±16 to within 2^−6.
const STEPS: usize = 10;

/// A host without any key finds a victim's first output: it adds a public number to it and looks whether the enclave balks at the range.
fn search(missing: &[Defence]) -> anyhow::Result<Run> {
    let world = World::new(Setup { missing, ..Setup::default() })?;
    let honest = world.evaluate(1, &world.input(1))?;
    let (mut low, mut high) = (-RANGE, RANGE);
    let (mut outsides, mut balked) = (BTreeSet::new(), 0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        // y > middle is seen by y + (RANGE − middle) > RANGE.
        let mut slots = vec![0.0; world.slots()];
        slots[0] = RANGE - middle;
        let plain = world.encoder.encode(&slots, 0, honest.scale())?;
        let shifted = world.evaluator.add_plain(&honest, &plain)?;
        let job = world.job(1);
        let bytes = shifted.encode(&world.model.parameters)?;
        let reply = world.call(Request::Release(world.owners[1].release(&job, bytes)))?;
        let refused = matches!(reply.response, Response::Refused(_));
        outsides.insert((refused, reply.encode().len()));
        balked += usize::from(refused);
        if refused { low = middle } else { high = middle }
    }
    let (found, right) = (f64::midpoint(low, high), world.expected()[0]);
    let told = (found - right).abs() < 0.05 && balked > 0;
    let says = match told {
        true => format!("a victim's output is {found:.2} (it is {right:.2}), by {STEPS} reactions"),
        false => format!("{STEPS} probes, {} outside appearance", outsides.len()),
    };
    // A second appearance would be an oracle, whether this search can use it or not.
    Ok(Run::new(told || outsides.len() > 1, says))
}

pub(crate) fn reactions() -> anyhow::Result<Report> {
    Ok(Report {
        attack: "an output by the enclave's reactions to a range it exceeds",
        level: Level::B,
        defence: "verdicts inside the seal, replies of one size",
        off: search(&[Defence::Silence])?,
        on: search(&[])?,
        bound: None,
    })
}
