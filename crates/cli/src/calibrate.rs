//! `adyton calibrate-machine`: what elementary operations cost here.

use crate::args::CalibrateMachine;
use crate::error::CliError;
use crate::machine;
use crate::output::{self, Table};
use adyton_compiler::cost::UnitCosts;
use adyton_ring::{
    AlignedBuffer, Automorphism, Divider, ModUp, Ntt, Poly, Ring, RingError, RingKind, SingleTerm,
    Tile, sampler,
};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Version of the file.
const VERSION: u32 = 1;
/// Degree at which operations are measured.
const LOG_N: u8 = 14;
/// Bits of the primes.
const PRIME_BITS: u32 = 46;
/// Time for each measurement.
const PATIENCE: Duration = Duration::from_millis(400);
/// Words of a stretch of memory that no cache holds.
const OUT_OF_CACHE: usize = 16 << 20;
/// What a step costs beside arithmetic; too little to measure apart.
const STEP: f64 = 20e-6;

/// The file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    version: u32,
    cpu: String,
    transform: f64,
    product: f64,
    inner_product: f64,
    division: f64,
    byte: f64,
    step: f64,
}

/// Measures, keeps and prints.
pub(crate) fn run(args: &CalibrateMachine) -> Result<(), CliError> {
    let units = measure().map_err(CliError::part("this machine cannot be measured"))?;
    let machine = Machine {
        version: VERSION,
        cpu: machine::cpu(),
        transform: units.transform,
        product: units.product,
        inner_product: units.inner_product,
        division: units.division,
        byte: units.byte,
        step: units.step,
    };
    let path = match &args.output {
        Some(path) => path.clone(),
        None => kept().ok_or_else(|| CliError::Argument {
            what: "--output",
            value: String::new(),
            reason: "there is no configuration directory (HOME is not set): name a file".into(),
        })?,
    };
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(CliError::file("make", folder))?;
    }
    let text = serde_json::to_string_pretty(&machine)
        .map_err(CliError::part("costs cannot be written"))?;
    std::fs::write(&path, text).map_err(CliError::file("write", &path))?;
    if args.json {
        return output::json(&machine);
    }
    let mut table = Table::new(1, &["operation", "cost"]);
    let nanos = |seconds: f64| format!("{:.3} ns", 1e9 * seconds);
    table.row(&["transform, a coefficient and stage".to_owned(), nanos(machine.transform)]);
    table.row(&["product, a coefficient".to_owned(), nanos(machine.product)]);
    table
        .row(&["inner product with a key, a coefficient".to_owned(), nanos(machine.inner_product)]);
    table.row(&["division, a coefficient".to_owned(), nanos(machine.division)]);
    table.row(&["memory".to_owned(), format!("{:.1} GB/s", 1e-9 / machine.byte)]);
    output::text(&format!("{}\n\n{}\nKept in {}.", machine.cpu, table.render(), path.display()))
}

/// Unit costs of a file, of this machine's file where there is one, or the built-in ones.
pub(crate) fn units(path: Option<&Path>) -> Result<UnitCosts, CliError> {
    let (path, named) = match (path, kept()) {
        (Some(path), _) => (path.to_owned(), true),
        (None, Some(path)) if path.exists() => (path, false),
        (None, _) => return Ok(UnitCosts::default()),
    };
    let bytes = std::fs::read(&path).map_err(CliError::file("read", &path))?;
    let read = serde_json::from_slice::<Machine>(&bytes).ok().filter(|machine| {
        let Machine { transform, product, inner_product, division, byte, step, .. } = machine;
        let costs = [transform, product, inner_product, division, byte, step];
        machine.version == VERSION && costs.iter().all(|cost| cost.is_finite() && **cost > 0.0)
    });
    match read {
        Some(machine) => Ok(UnitCosts {
            transform: machine.transform,
            product: machine.product,
            inner_product: machine.inner_product,
            division: machine.division,
            byte: machine.byte,
            step: machine.step,
        }),
        // What another version kept is no reason to refuse work.
        None if !named => Ok(UnitCosts::default()),
        None => Err(CliError::Content {
            path,
            reason: "not what `adyton calibrate-machine` of this version writes; run it again"
                .into(),
        }),
    }
}

/// Where costs are kept for this user.
fn kept() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    Some(folder?.join("adyton").join("machine.json"))
}

/// Seconds of one call, the fastest of as many as fit the time.
fn fastest(mut call: impl FnMut() -> Result<(), RingError>) -> Result<f64, RingError> {
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < PATIENCE {
        let started = Instant::now();
        call()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn measure() -> Result<UnitCosts, RingError> {
    let kind = RingKind::ConjugateInvariant;
    let primes = adyton_ring::ntt_primes(kind, LOG_N, PRIME_BITS, 6, &[])?;
    let ring = Ring::new(kind, LOG_N, &primes)?;
    let random = |number: u64| sampler::uniform(&ring, &ring.full_basis(), &[1; 32], number);
    let (basis, special) = (ring.basis(0..4)?, ring.basis(4..6)?);
    let coefficients = ring.degree() as f64;

    // Four limbs back, then both digits of two primes to the other four.
    let up = ModUp::new(&ring, &basis, &special, 2)?;
    let x = random(0)?.restrict(&basis)?;
    let mut out = vec![0; ring.degree()];
    let decomposition = fastest(|| {
        let digits = up.decompose(black_box(&x), AlignedBuffer::zeroed(x.as_slice().len()))?;
        for (digit, limbs) in [(0, 2..6), (1, 0..2), (1, 4..6)] {
            for limb in limbs {
                up.limb_into(&digits, digit, limb, &mut out)?;
            }
        }
        Ok(())
    })?;
    let transform = decomposition / (12.0 * coefficients * f64::from(LOG_N));

    // Six limbs to four, in memory that is there already.
    let divider = Divider::new(&ring, &ring.full_basis(), &basis)?;
    let x = random(1)?;
    let mut argument = AlignedBuffer::from_slice(x.as_slice());
    let mut corrections = AlignedBuffer::zeroed(4 * ring.degree());
    let divided = fastest(|| {
        divider.corrections(&mut divider.dropped_limbs(&mut argument), &mut corrections)?;
        let limbs = corrections.chunks_exact_mut(ring.degree());
        for (target, correction) in limbs.enumerate() {
            let source = divider.source(target).map_or(&[][..], |position| x.limb(position));
            divider.finish_limb(target, source, correction, &mut out)?;
        }
        Ok(())
    })?;
    let transforms = 6.0 * coefficients * f64::from(LOG_N) * transform;
    let division = ((divided - transforms) / (4.0 * coefficients)).max(1e-11);

    Ok(UnitCosts {
        transform,
        product: product(&ring)?,
        inner_product: inner_product(&ring, random)?,
        division,
        byte: byte(),
        step: STEP,
    })
}

/// A tile that stays in the cache: weights with both polynomials of values.
fn product(ring: &Ring) -> Result<f64, RingError> {
    const LEN: usize = 64;
    const ROWS: usize = 8;
    const TERMS: usize = 32;
    let mut state = 1u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> (64 - PRIME_BITS + 2)
    };
    let mut words = |count: usize| (0..count).map(|_| word()).collect::<Vec<u64>>();
    let rows: Vec<Vec<u64>> = (0..ROWS).map(|_| words(TERMS * LEN)).collect();
    let rows: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
    let operands = words(2 * TERMS * LEN);
    let mut sums = vec![vec![0; LEN]; 2 * ROWS];
    let seconds = fastest(|| {
        let mut sums = sums.iter_mut().map(Vec::as_mut_slice);
        let mut outs: Vec<[&mut [u64]; 2]> =
            (0..ROWS).map(|_| [(); 2].map(|()| sums.next().unwrap_or_default())).collect();
        let tile = Tile { rows: &rows, operands: &operands, terms: TERMS, outs: &mut outs };
        ring.residue(0).tile(black_box(tile))
    })?;
    Ok(seconds / (ROWS * TERMS * LEN) as f64)
}

/// Digits in the cache with keys from memory: enough keys that none is there twice.
fn inner_product(
    ring: &Ring,
    random: impl Fn(u64) -> Result<Poly<Ntt>, RingError>,
) -> Result<f64, RingError> {
    let digits = [random(2)?, random(3)?];
    let count = (OUT_OF_CACHE / (2 * 6 * ring.degree())).max(2) as u64;
    let keys = (0..count).map(|key| Ok([random(10 + 2 * key)?, random(11 + 2 * key)?]));
    let keys = keys.collect::<Result<Vec<_>, RingError>>()?;
    let mut outs = [vec![0; ring.degree()], vec![0; ring.degree()]];
    let (mut sums, mut image) = (outs.clone(), vec![0; ring.degree()]);
    let rotation = Automorphism::rotation(ring, 17)?;
    let mut calls = 0;
    let seconds = fastest(|| {
        calls = 0;
        for pair in keys.chunks_exact(2) {
            for limb in 0..6 {
                let terms: Vec<SingleTerm<'_>> = digits
                    .iter()
                    .zip(pair)
                    .map(|(w, [b, a])| SingleTerm {
                        w: w.limb(limb),
                        b: b.limb(limb),
                        a: a.limb(limb),
                    })
                    .collect();
                let [b, a] = &mut outs;
                ring.residue(limb).dot2(black_box(&terms), [b, a])?;
                // A sum moves to its place and is added to others.
                for (own, sum) in outs.iter().zip(&mut sums) {
                    rotation.apply_limb(own, &mut image)?;
                    ring.residue(limb).add_assign(sum, &image)?;
                }
                calls += terms.len();
            }
        }
        Ok(())
    })?;
    Ok(seconds / (calls * ring.degree()) as f64)
}

/// One stream from memory.
fn byte() -> f64 {
    let words: Vec<u64> = (0..OUT_OF_CACHE as u64).collect();
    let seconds = fastest(|| {
        let sums = words.chunks_exact(8).fold([0u64; 8], |mut sums, words| {
            sums.iter_mut().zip(words).for_each(|(sum, word)| *sum ^= word);
            sums
        });
        black_box(sums);
        Ok(())
    });
    seconds.unwrap_or(1.0) / (8 * words.len()) as f64
}
