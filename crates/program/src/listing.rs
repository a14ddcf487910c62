//! A program for people: what `adyton inspect` prints.

use std::collections::BTreeMap;
use std::fmt;

use adyton_ckks::KeySource;

use crate::bundle::{BundleError, BundleShape};
use crate::{Step, ValueId, VerifiedProgram};

/// Operands named in a line before the rest is counted.
const NAMED_OPERANDS: usize = 4;

/// Displays a verified program: parameters, layouts, sizes, keys, and every step with form, level and scale of what it makes.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a>(pub &'a VerifiedProgram);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.sizes(f)?;
        self.keys(f)?;
        self.steps(f)
    }
}

impl Listing<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.0.program();
        let literal = &program.parameters;
        let id: String = self.0.id().iter().map(|byte| format!("{byte:02x}")).collect();
        let bits = |primes: &[u64]| {
            let bits: Vec<_> =
                primes.iter().map(|&p| format!("{:.1}", (p as f64).log2())).collect();
            bits.join(" ")
        };
        writeln!(f, "program     {} ({id})", program.name)?;
        writeln!(
            f,
            "ring        {:?}, N = 2^{}, {:?}",
            literal.kind, literal.log_n, literal.security
        )?;
        writeln!(
            f,
            "primes      {} | special {}",
            bits(&literal.primes),
            bits(&literal.special_primes)
        )?;
        writeln!(f, "log2 QP     {:.1} at most", self.0.parameters().max_log_qp())?;
        for (level, (primes, gadget)) in literal.levels.iter().zip(&literal.gadgets).enumerate() {
            let gadget = gadget.map_or("no keys".to_owned(), |gadget| {
                format!("digits of {}, {} special", gadget.digit_primes, gadget.special_primes)
            });
            writeln!(f, "level {level:<5} primes {primes:?}, {gadget}")?;
        }
        let input = &program.input;
        writeln!(
            f,
            "input       shape {:?}, {} ciphertexts of {} positions × {} lanes, scale {}, |x| ≤ {}",
            input.shape,
            input.ciphertexts.len(),
            input.positions,
            input.lanes,
            input.scale,
            input.bound
        )?;
        let output = &program.output;
        let copies = output.positions.iter().flatten().count();
        writeln!(
            f,
            "output      v{}: {} outputs in {copies} places, |y| ≤ {}, deviation 2^{:.1}",
            output.value,
            output.outputs,
            output.range,
            output.deviation.log2()
        )
    }

    fn sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.0.program();
        let size = |shape: Result<BundleShape, BundleError>| {
            shape.map_or("unknown".to_owned(), |shape| {
                format!("{:.2} MiB", shape.total_len() as f64 / f64::from(1 << 20))
            })
        };
        writeln!(
            f,
            "model       {} {:?} weights, {}",
            program.weights.len(),
            program.privacy,
            size(BundleShape::model(self.0))
        )?;
        writeln!(f, "inputs      {} a group", size(BundleShape::inputs(self.0, 1)))?;
        writeln!(f, "keys        {}, {}", program.keys.len(), size(BundleShape::keys(self.0)))
    }

    fn keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rotations: BTreeMap<(&str, u8), Vec<String>> = BTreeMap::new();
        for key in &self.0.program().keys {
            let rotation = match key.source.row() {
                Some(row) => format!("{} of row {row}", key.rotation),
                None => key.rotation.to_string(),
            };
            rotations.entry((name(key.source), key.level)).or_default().push(rotation);
        }
        for ((source, level), rotations) in rotations {
            writeln!(f, "  {source} at level {level}: rotations {}", rotations.join(", "))?;
        }
        Ok(())
    }

    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.0.program().steps.iter().zip(self.0.first_outputs());
        for (index, (step, &first)) in steps.enumerate() {
            let outputs = match step.outputs() {
                1 => format!("v{first}"),
                count => format!("v{first}..v{}", first as usize + count - 1),
            };
            write!(f, "{index:>5}  {outputs} = {}", describe(step))?;
            match self.0.value_type(first) {
                Some(value) => {
                    writeln!(f, "  [{}, level {}, {}]", value.form, value.level, value.scale)?;
                }
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn name(source: KeySource) -> &'static str {
    match source {
        KeySource::Model(_) => "model",
        KeySource::ModelTimesInput(_) => "model·input",
        KeySource::ModelTimesResult(_) => "model·result",
        KeySource::Input => "input",
        KeySource::Result => "result",
        KeySource::ResultSquared => "result²",
    }
}

fn describe(step: &Step) -> String {
    let rescaled = |rescale: bool| if rescale { ", rescale" } else { "" };
    match step {
        Step::Rotations { of, by } => format!("rotations v{of} by {by:?}"),
        Step::Products { terms, bias } => {
            let bias = bias.map_or(String::new(), |bias| format!(" + w{bias}"));
            format!("Σ {}{bias}", some(terms, |(weight, value)| format!("w{weight}·v{value}")))
        }
        Step::SwitchSum { terms, rescale } => {
            let term = |&(value, rotation): &(ValueId, u32)| format!("v{value}≪{rotation}");
            format!("switch Σ {}{}", some(terms, term), rescaled(*rescale))
        }
        Step::Square { of } => format!("v{of}²"),
        Step::Relinearize { of, rescale } => format!("relinearize v{of}{}", rescaled(*rescale)),
        Step::Lower { of } => format!("lower v{of}"),
    }
}

/// The first few items, and how many more there are.
fn some<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<_> = items.iter().take(NAMED_OPERANDS).map(show).collect();
    match items.len().saturating_sub(NAMED_OPERANDS) {
        0 => shown.join(" + "),
        more => format!("{} + {more} more", shown.join(" + ")),
    }
}
