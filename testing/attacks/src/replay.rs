//! What was used up, used again.

use std::fs;

use adyton_enclave_weakened::Defence;
use adyton_wire::statement::Checks;

use crate::common::LANES;
use crate::network::OUTPUTS;
use crate::world::{Got, Setup, World};
use crate::{Level, Report, Run};

pub(crate) fn spent_job() -> anyhow::Result<Report> {
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let world = World::new(Setup { missing, ..Setup::default() })?;
        let job = world.job(1);
        let encoded = |x: adyton_ckks::Ciphertext<_>| x.encode(&world.model.parameters);
        let first = encoded(world.evaluate(1, &world.input(1))?)?;
        let other = world.owners[1].input(&world.model, &[[0.5, -0.5, 1.0]; LANES]);
        let second = encoded(world.evaluate(1, &other)?)?;
        world.release_bytes(1, &job, first)?;
        let got = world.release_bytes(1, &job, second)?;
        let again = got.values().is_some();
        let found = if again {
            "a second result under one job, charged once".to_owned()
        } else {
            got.to_string()
        };
        Ok(Run::new(again, found))
    };
    Ok(Report {
        attack: "another ciphertext under a job that was released",
        level: Level::B,
        defence: "single use of a job",
        off: run(&[Defence::SingleUse])?,
        on: run(&[])?,
        bound: None,
    })
}

/// Spends a ledger of one release, puts the state of before back, spends it again.
fn rolled_back(counts: bool) -> anyhow::Result<Run> {
    let ledger = (LANES * OUTPUTS * 16) as u64 + Checks::BITS;
    let mut world = World::new(Setup { counts, ledger, ..Setup::default() })?;
    let kept = world.state().with_extension("kept");
    fs::create_dir(&kept)?;
    let copy = |from: &std::path::Path, to: &std::path::Path| -> std::io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    };
    world.restart(|state| copy(state, &kept))?;
    let ciphertext = world.evaluate(0, &world.input(0))?;
    let first = world.release(0, &ciphertext)?;
    anyhow::ensure!(first.values().is_some(), "the first release: {first}");
    let spent = world.release(0, &ciphertext)?;
    anyhow::ensure!(matches!(spent, Got::Refused(_)), "the ledger holds: {spent}");
    if let Err(error) = world.restart(|state| copy(&kept, state)) {
        return Ok(Run::new(false, format!("the enclave does not start: {error}")));
    }
    let got = world.release(0, &ciphertext)?;
    let again = got.values().is_some();
    let found = if again { "the ledger spent twice".to_owned() } else { got.to_string() };
    Ok(Run::new(again, found))
}

pub(crate) fn rolled_back_state() -> anyhow::Result<Report> {
    Ok(Report {
        attack: "an older sealed state put back",
        level: Level::C,
        defence: "the platform's monotonic counter (or, without one, no --on-restart continue)",
        off: rolled_back(false)?,
        on: rolled_back(true)?,
        bound: None,
    })
}
