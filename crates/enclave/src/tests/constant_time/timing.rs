//! Statistics over time: a fixed secret against random ones, in random order.

use std::time::Instant;

use super::welch::{CERTAIN, largest_t};
use super::{LEAKS, OPERATIONS, Prepare, World};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// The fixed secret.
pub(super) const FIXED: [u8; 32] = [0x5A; 32];
const SAMPLES: usize = 20_000;
/// A disturbance of the machine passes, a leak stays.
const ATTEMPTS: usize = 3;

/// The largest |t| over all crops.
fn dependence(world: &World, prepare: Prepare, attempt: usize) -> f64 {
    let mut rng = ChaCha20Rng::from_seed([attempt as u8; 32]);
    let mut measured = Vec::with_capacity(SAMPLES);
    for i in 0..SAMPLES + 50 {
        let mut random = [0; 32];
        rng.fill_bytes(&mut random);
        let fixed = rng.next_u32() & 1 == 1;
        let mut run = prepare(world, if fixed { FIXED } else { random });
        let start = Instant::now();
        run();
        let time = start.elapsed().as_nanos() as f64;
        // The first ones warm up.
        if i >= 50 {
            measured.push((fixed, time));
        }
    }
    largest_t(&measured)
}

#[test]
#[ignore = "statistics over time: half a minute in the release profile"]
fn time_does_not_depend_on_secrets() {
    let world = World::new();
    for (name, prepare) in LEAKS {
        let t = dependence(&world, *prepare, 0);
        eprintln!("{t:8.1}  {name} (a leak)");
        assert!(t > CERTAIN, "the leak was not found: {name}, |t| = {t}");
    }
    let mut leaks = Vec::new();
    for (name, prepare) in OPERATIONS {
        let mut least = f64::INFINITY;
        for attempt in 0..ATTEMPTS {
            least = least.min(dependence(&world, *prepare, attempt));
            if least < CERTAIN {
                break;
            }
        }
        eprintln!("{least:8.1}  {name}");
        if least >= CERTAIN {
            leaks.push((*name, least));
        }
    }
    assert!(leaks.is_empty(), "{leaks:?}");
}
