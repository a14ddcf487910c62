//! Statistics over time, after dudect (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", DATE 2017): a fixed secret
//! against random ones, in random order; Welch's t-test, over all measurements and over those below several percentiles.

use std::time::Instant;

use super::{LEAKS, OPERATIONS, Prepare, World};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// The fixed secret.
pub(super) const FIXED: [u8; 32] = [0x5A; 32];
/// Beyond this a dependence is certain for dudect.
const CERTAIN: f64 = 10.0;
const SAMPLES: usize = 20_000;
/// A disturbance of the machine passes, a leak stays.
const ATTEMPTS: usize = 3;

/// Mean and variance as they come (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        let difference = x - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (x - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

fn welch(measured: &[(bool, f64)], below: f64) -> f64 {
    let mut classes = [Moments::default(); 2];
    for &(fixed, time) in measured.iter().filter(|(_, time)| *time <= below) {
        classes[usize::from(fixed)].add(time);
    }
    let [random, fixed] = classes;
    if random.count < 100.0 || fixed.count < 100.0 {
        return 0.0;
    }
    let error = (random.error() + fixed.error()).sqrt();
    if error > 0.0 { (random.mean - fixed.mean) / error } else { 0.0 }
}

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
    let mut times: Vec<f64> = measured.iter().map(|(_, time)| *time).collect();
    times.sort_by(f64::total_cmp);
    let crops = [0.5, 0.75, 0.9, 0.95, 0.99, 1.0];
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    crops.map(|share| welch(&measured, at(share)).abs()).into_iter().fold(0.0, f64::max)
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
