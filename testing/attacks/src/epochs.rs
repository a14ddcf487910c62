//! What an older epoch left, in a newer one.

use adyton_enclave_weakened::{Defence, Restart};
use adyton_wire::{Request, Response};

use crate::common::LANES;
use crate::foreign::{TOLERANCE, close};
use crate::world::{Got, Setup, World};
use crate::{Level, Report, Run};

/// A platform that counts nothing: every restart begins an epoch.
const UNCOUNTED: Setup<'static> =
    Setup { counts: false, restart: Restart::NewEpoch, ..Setup::USUAL };

/// The victim comes again, with the same session, and the host answers its new job with a result that it kept from the older epoch.
pub(crate) fn result() -> anyhow::Result<Report> {
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let mut world = World::new(Setup { missing, ..UNCOUNTED })?;
        let other = world.owners[1].input(&world.model, &[[0.5, -0.5, 1.0]; LANES]);
        let kept = world.evaluate(1, &other)?;
        world.restart(|_| Ok(()))?;
        world.enter_again()?;
        let got = world.release(1, &kept)?;
        let wrong = got.values().is_some_and(|read| !close(read, &world.expected(), TOLERANCE));
        let found = match wrong {
            true => "the owner is told an older epoch's result with a valid receipt".to_owned(),
            false => got.to_string(),
        };
        Ok(Run::new(wrong, found))
    };
    Ok(Report {
        attack: "a result of an older epoch for a newer one's job",
        level: Level::B,
        defence: "a result key for every epoch",
        off: run(&[Defence::Epoch])?,
        on: run(&[])?,
        bound: None,
    })
}

/// The host plays the owners' messages of the older epoch again, and asks for the same release with a fresh quota and fresh noise.
pub(crate) fn messages() -> anyhow::Result<Report> {
    let run = |missing: &[Defence]| -> anyhow::Result<Run> {
        let mut world = World::new(Setup { missing, jobs: 1, ..UNCOUNTED })?;
        let entries = world.entries();
        let job = world.job(1);
        let bytes = world.evaluate(1, &world.input(1))?.encode(&world.model.parameters)?;
        let first = world.release_bytes(1, &job, bytes.clone())?;
        anyhow::ensure!(first.values().is_some(), "the first release: {first}");
        let spent = world.release_bytes(1, &world.job(1), bytes.clone())?;
        anyhow::ensure!(matches!(spent, Got::Refused(_)), "the quota holds: {spent}");
        world.restart(|_| Ok(()))?;
        let mut said = Vec::new();
        for entry in entries {
            if let Response::Refused(problem) = world.call(entry)?.response {
                said.push(problem.to_string());
            }
        }
        let release = Request::Release(world.owners[1].release(&job, bytes));
        let got = world.got(1, &job, world.call(release)?)?;
        let again = got.values().is_some_and(|values| first.values() != Some(values));
        let found = match again {
            true => "a spent job released again, with other noise, by a restart".to_owned(),
            false => format!("owners' messages: {}; the job: {got}", said.join(", ")),
        };
        Ok(Run::new(again, found))
    };
    Ok(Report {
        attack: "an older epoch's messages played again in a newer one",
        level: Level::B,
        defence: "sealing keys for every epoch",
        off: run(&[Defence::Epoch])?,
        on: run(&[])?,
        bound: None,
    })
}
