//! Sums of products against wide arithmetic.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use adyton_ring::{Kernel, PairTerm, RingKind, SingleTerm, TILE_LANES, Tile};
use common::{Random, kernels, mul_mod, ring};

/// Σ x_j·y_j at position i.
fn sum(pairs: &[(&[u64], &[u64])], i: usize, p: u64) -> u64 {
    pairs.iter().fold(0, |sum, (x, y)| (sum + mul_mod(x[i], y[i], p)) % p)
}

fn check(bits: u32, terms: usize, len: usize, extreme: bool) {
    for kernel in kernels() {
        let ring = ring(RingKind::ConjugateInvariant, 8, bits, 1, kernel);
        let residue = ring.residue(0);
        let p = residue.modulus().value();
        let mut random = Random(u64::from(bits) + terms as u64);
        let polys: Vec<[Vec<u64>; 4]> = (0..terms)
            .map(|_| {
                [(); 4].map(|()| if extreme { vec![p - 1; len] } else { random.residues(p, len) })
            })
            .collect();
        let pairs: Vec<PairTerm<'_>> =
            polys.iter().map(|[b, a, b2, a2]| PairTerm { b, a, b2, a2 }).collect();
        let singles: Vec<SingleTerm<'_>> =
            polys.iter().map(|[w, b, a, _]| SingleTerm { w, b, a }).collect();
        let of = |choices: &[(usize, usize)]| -> Vec<u64> {
            (0..len)
                .map(|i| {
                    choices.iter().fold(0, |total, &(x, y)| {
                        let pairs: Vec<_> = polys.iter().map(|t| (&t[x][..], &t[y][..])).collect();
                        (total + sum(&pairs, i, p)) % p
                    })
                })
                .collect()
        };
        let doubled = |x: &[u64]| x.iter().map(|x| 2 * x % p).collect::<Vec<_>>();
        // Outputs start with what must be overwritten, residues or not.
        let fresh = || vec![u64::MAX; len];

        let expected = [of(&[(0, 2)]), of(&[(1, 2), (0, 3)]), of(&[(1, 3)])];
        let mut outs = [fresh(), fresh(), fresh()];
        residue.dot3(&pairs, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected, "{kernel} {bits} {terms} {len}");

        let expected = [of(&[(0, 1)]), of(&[(0, 2)])];
        let mut outs = [fresh(), fresh()];
        residue.dot2(&singles, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected);
        residue.dot2_add(&singles, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected.each_ref().map(|x| doubled(x)));
    }
}

#[test]
fn sums_of_few_and_many_products() {
    for bits in [17, 31, 45, 46] {
        for terms in [0, 1, 2, 3, 32] {
            for len in [0, 1, 8, 13, 16, 200] {
                check(bits, terms, len, false);
            }
        }
    }
}

#[test]
fn accumulators_do_not_overflow() {
    for bits in [17, 40, 46] {
        for terms in [1023, 1024, 1025, 5000] {
            check(bits, terms, 24, true);
        }
    }
}

/// The polynomials of each list in the order of a tile: by vector, then list, then polynomial.
fn tiled(lists: &[Vec<Vec<u64>>], len: usize) -> Vec<u64> {
    (0..len)
        .step_by(TILE_LANES)
        .flat_map(|at| lists.iter().flatten().flat_map(move |poly| &poly[at..at + TILE_LANES]))
        .copied()
        .collect()
}

/// Products of rows of weights with groups of operands.
fn check_tile(kernel: Kernel, [rows, groups, terms, len]: [usize; 4], extreme: bool) {
    let ring = ring(RingKind::ConjugateInvariant, 8, 46, 1, kernel);
    let residue = ring.residue(0);
    let p = residue.modulus().value();
    let mut random = Random((rows + 10 * groups + 100 * terms + 1000 * len) as u64);
    let mut lists = |count: usize, polys: usize| -> Vec<Vec<Vec<u64>>> {
        let mut poly = || if extreme { vec![p - 1; len] } else { random.residues(p, len) };
        (0..count).map(|_| (0..polys).map(|_| poly()).collect()).collect()
    };
    let (rows, groups) = (lists(rows, terms), lists(groups, 2 * terms));
    let expected: Vec<Vec<u64>> = rows
        .iter()
        .flat_map(|row| groups.iter().map(move |group| (row, group)))
        .flat_map(|(row, group)| {
            (0..2).map(move |part| {
                let pairs: Vec<(&[u64], &[u64])> =
                    (0..terms).map(|term| (&row[term][..], &group[2 * term + part][..])).collect();
                (0..len).map(|i| sum(&pairs, i, p)).collect()
            })
        })
        .collect();

    // What follows a block may be read ahead, and nothing of it is used.
    let weights: Vec<Vec<u64>> = rows
        .iter()
        .map(|row| [tiled(std::slice::from_ref(row), len), vec![7; 24]].concat())
        .collect();
    let weights: Vec<&[u64]> = weights.iter().map(Vec::as_slice).collect();
    let operands = tiled(&groups, len);
    let mut sums = vec![vec![u64::MAX; len]; expected.len()];
    let mut slices = sums.iter_mut().map(Vec::as_mut_slice);
    let mut outs: Vec<[&mut [u64]; 2]> = (0..rows.len() * groups.len())
        .map(|_| std::array::from_fn(|_| slices.next().unwrap()))
        .collect();
    let tile = Tile { rows: &weights, operands: &operands, terms, outs: &mut outs };
    residue.tile(tile).unwrap();
    let shape = (kernel, rows.len(), groups.len(), terms, len);
    assert_eq!(sums, expected, "{shape:?}");
}

#[test]
fn tiles_of_any_shape() {
    for kernel in kernels() {
        for rows in [1, 2, 5] {
            for groups in 1..=7 {
                for (terms, len) in [(1, 8), (3, 16), (8, 24), (0, 8)] {
                    check_tile(kernel, [rows, groups, terms, len], false);
                }
            }
        }
        check_tile(kernel, [2, 3, 2050, 8], true);
        check_tile(kernel, [1, 2, 1025, 8], true);
    }
}

#[test]
fn blocks_of_limbs_are_interleaved() {
    for kernel in kernels() {
        let ring = ring(RingKind::ConjugateInvariant, 8, 46, 1, kernel);
        let residue = ring.residue(0);
        for count in [1, 3, 10] {
            let mut random = Random(count as u64);
            let limbs: Vec<Vec<u64>> = (0..count).map(|_| random.residues(1 << 40, 72)).collect();
            let slices: Vec<&[u64]> = limbs.iter().map(Vec::as_slice).collect();
            for block in [0..8, 16..48, 64..72, 0..72] {
                let mut out = vec![0; count * block.len()];
                residue.interleave(&slices, block.clone(), &mut out).unwrap();
                let part: Vec<Vec<u64>> =
                    limbs.iter().map(|limb| limb[block.clone()].to_vec()).collect();
                assert_eq!(out, tiled(&[part], block.len()), "{kernel}, {count} of {block:?}");
            }
            let refused = |block: std::ops::Range<usize>, len: usize| {
                residue.interleave(&slices, block, &mut vec![0; len]).is_err()
            };
            assert!(refused(0..7, 7 * count) && refused(0..8, 8 * count + 1));
            assert!(refused(72..80, 8 * count));
        }
    }
}

#[test]
fn tiles_of_wrong_lengths_are_refused() {
    let ring = ring(RingKind::Standard, 5, 40, 1, kernels()[0]);
    let words = [0; 64];
    let attempt = |row: usize, operands: usize, terms, len: usize, groups: usize| {
        let mut sums = vec![vec![0; len]; 2 * groups];
        let mut slices = sums.iter_mut().map(Vec::as_mut_slice);
        let mut outs: Vec<[&mut [u64]; 2]> =
            (0..groups).map(|_| std::array::from_fn(|_| slices.next().unwrap())).collect();
        let rows = [&words[..row]];
        let tile = Tile { rows: &rows, operands: &words[..operands], terms, outs: &mut outs };
        ring.residue(0).tile(tile).is_ok()
    };
    assert!(attempt(16, 32, 2, 8, 1) && attempt(24, 32, 2, 8, 1) && attempt(8, 32, 1, 8, 2));
    assert!(!attempt(15, 32, 2, 8, 1), "a row too short");
    assert!(!attempt(16, 31, 2, 8, 1), "operands too short");
    assert!(!attempt(16, 33, 2, 8, 1), "operands too long");
    assert!(!attempt(16, 32, 2, 7, 1), "no whole vector");
    assert!(!attempt(16, 32, 2, 8, 2), "a group without operands");
}

#[test]
fn lengths_are_checked() {
    let ring = ring(RingKind::Standard, 5, 40, 1, kernels()[0]);
    let (x, y) = ([0; 8], [0; 9]);
    let term = SingleTerm { w: &x, b: &x, a: &y };
    let (mut b, mut a) = ([0; 8], [0; 8]);
    assert!(ring.residue(0).dot2(&[term], [&mut b, &mut a]).is_err());
    assert!(ring.residue(0).dot2(&[], [&mut b, &mut a[..7]]).is_err());
}
