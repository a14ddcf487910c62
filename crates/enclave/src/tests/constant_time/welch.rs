//! Whether two classes of measurements differ, after dudect (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", DATE
//! 2017): Welch's t-test, over all measurements and over those below several percentiles.

/// Beyond this a dependence is certain for dudect.
pub(crate) const CERTAIN: f64 = 10.0;

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
    let (mut random, mut fixed) = (Moments::default(), Moments::default());
    for &(of_fixed, time) in measured.iter().filter(|(_, time)| *time <= below) {
        if of_fixed { &mut fixed } else { &mut random }.add(time);
    }
    if random.count < 100.0 || fixed.count < 100.0 {
        return 0.0;
    }
    let error = (random.error() + fixed.error()).sqrt();
    if error > 0.0 { (random.mean - fixed.mean) / error } else { 0.0 }
}

/// The largest |t| over all crops.
pub(crate) fn largest_t(measured: &[(bool, f64)]) -> f64 {
    let mut times: Vec<f64> = measured.iter().map(|(_, time)| *time).collect();
    times.sort_by(f64::total_cmp);
    let crops = [0.5, 0.75, 0.9, 0.95, 0.99, 1.0];
    let last = times.len().saturating_sub(1) as f64;
    let at = |share: f64| times.get((last * share) as usize).copied().unwrap_or(0.0);
    crops.map(|share| welch(measured, at(share)).abs()).into_iter().fold(0.0, f64::max)
}
