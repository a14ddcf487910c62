//! What a program does at each level, as a table and as a picture.

use crate::error::CliError;
use crate::output::{self, Table};
use adyton_compiler::cost::{self, UnitCosts};
use adyton_program::{Step, VerifiedProgram};
use serde::Serialize;
use std::fmt::Write;

/// Width of the picture and height of a level, in its units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 74.0;
/// Left end and width of the bar that shows a level's share of the time.
const BAR: (f64, f64) = (600.0, 230.0);

/// The steps of one level.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Level {
    /// Its number; the inputs' is the highest.
    pub(crate) level: u8,
    /// Primes.
    pub(crate) limbs: usize,
    /// log2 of its modulus, and with the special primes of its keys where it has keys.
    pub(crate) log_q: f64,
    pub(crate) log_qp: f64,
    /// log2 of the modulus that security allows.
    pub(crate) bound: f64,
    /// Evaluation keys.
    pub(crate) keys: usize,
    /// log2 of the scale of what the level's steps read.
    pub(crate) scale: f64,
    /// Rotations of values, products with weights, switched sums, squares, values that are passed by squares.
    pub(crate) rotations: usize,
    pub(crate) products: usize,
    pub(crate) sums: usize,
    pub(crate) squares: usize,
    pub(crate) passed: usize,
    /// Predicted processor time for one group.
    pub(crate) seconds: f64,
}

/// The levels, the inputs' first.
pub(crate) fn of(program: &VerifiedProgram, units: &UnitCosts) -> Result<Vec<Level>, CliError> {
    const FAIL: &str = "the program's levels cannot be told";
    let parameters = program.parameters();
    let literal = &program.program().parameters;
    let bound = literal.security.max_log2_modulus(literal.log_n).unwrap_or(f64::INFINITY);
    let mut levels = Vec::new();
    for level in 0..=parameters.top_level() {
        let log_q = parameters.log2_modulus(level).map_err(CliError::part(FAIL))?;
        let special = parameters.special_moduli(level).unwrap_or_default();
        levels.push(Level {
            level,
            limbs: parameters.basis(level).map_err(CliError::part(FAIL))?.len(),
            log_q,
            log_qp: log_q + special.iter().map(|&prime| (prime as f64).log2()).sum::<f64>(),
            bound,
            keys: program.program().keys.iter().filter(|key| key.level == level).count(),
            ..Level::default()
        });
    }
    let predicted = cost::predict(program, units, 1).map_err(CliError::part(FAIL))?;
    for (step, seconds) in program.program().steps.iter().zip(predicted.steps) {
        let operand = step.operands().next().and_then(|value| program.value_type(value));
        let Some(value) = operand else { continue };
        let Some(level) = levels.get_mut(usize::from(value.level)) else { continue };
        level.seconds += seconds;
        match step {
            Step::Rotations { by, .. } => level.rotations += by.iter().filter(|&&r| r > 0).count(),
            Step::Products { terms, .. } => level.products += terms.len(),
            Step::SwitchSum { .. } => level.sums += 1,
            Step::Square { .. } => level.squares += 1,
            Step::Lower { .. } => level.passed += 1,
            Step::Relinearize { .. } => continue,
        }
        if level.scale == 0.0 {
            level.scale = value.scale.log2();
        }
    }
    levels.reverse();
    Ok(levels)
}

/// The levels as a table.
pub(crate) fn table(levels: &[Level]) -> String {
    let mut table = Table::new(
        0,
        &[
            "level",
            "primes",
            "log2 Q",
            "log2 QP",
            "bound",
            "keys",
            "scale",
            "rotations",
            "products",
            "sums",
            "squares",
            "passed",
            "CPU time",
        ],
    );
    for level in levels {
        let key = |bits: f64| if level.keys > 0 { format!("{bits:.0}") } else { "–".to_owned() };
        table.row(&[
            level.level.to_string(),
            level.limbs.to_string(),
            format!("{:.0}", level.log_q),
            key(level.log_qp),
            format!("{:.0}", level.bound),
            level.keys.to_string(),
            format!("2^{:.1}", level.scale),
            level.rotations.to_string(),
            level.products.to_string(),
            level.sums.to_string(),
            level.squares.to_string(),
            level.passed.to_string(),
            output::seconds(level.seconds),
        ]);
    }
    table.render()
}

/// The levels as a picture: a box each, from the inputs down to the results, with its share of the time.
pub(crate) fn svg(program: &VerifiedProgram, levels: &[Level]) -> String {
    let total: f64 = levels.iter().map(|level| level.seconds).sum();
    let height = 60.0 + HEIGHT * levels.len() as f64;
    let program = program.program();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"17\">{}: N = 2^{}, {} positions × {} lanes, {} input ciphertexts</text>\n",
        escaped(&program.name),
        program.parameters.log_n,
        program.input.positions,
        program.input.lanes,
        program.input.ciphertexts.len(),
    );
    for (index, level) in levels.iter().enumerate() {
        let y = 46.0 + HEIGHT * index as f64;
        let share = if total > 0.0 { level.seconds / total } else { 0.0 };
        let counts = [
            (level.rotations, "rotations"),
            (level.products, "products"),
            (level.sums, "switched sums"),
            (level.squares, "squares"),
            (level.passed, "passed"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<rect x=\"20\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#eef3f8\" stroke=\"#5b7a99\"/>\n\
             <text x=\"32\" y=\"{}\" font-weight=\"bold\">level {}</text>\n\
             <text x=\"100\" y=\"{}\">{} primes, log2 Q = {:.0}, scale 2^{:.1}, {} keys{}</text>\n\
             <text x=\"32\" y=\"{}\">{}</text>\n\
             <rect x=\"{}\" y=\"{}\" width=\"{:.1}\" height=\"12\" fill=\"#c4713b\"/>\n\
             <text x=\"{}\" y=\"{}\">{} ({:.0} %)</text>",
            WIDTH - 40.0,
            HEIGHT - 12.0,
            y + 22.0,
            level.level,
            y + 22.0,
            level.limbs,
            level.log_q,
            level.scale,
            level.keys,
            if level.keys > 0 {
                format!(" (log2 QP = {:.0} of {:.0})", level.log_qp, level.bound)
            } else {
                String::new()
            },
            y + 46.0,
            counts.join(", "),
            BAR.0,
            y + 38.0,
            (BAR.1 * share).max(1.0),
            BAR.0,
            y + 28.0,
            output::seconds(level.seconds),
            100.0 * share,
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_compiler::plan::{CompileOptions, compile};

    /// The table and the picture count a shipped network's steps, and show no weight.
    #[test]
    fn levels_are_counted_and_hold_no_weight() {
        let shipped = crate::shipped::networks(&["mlp".to_owned()]).unwrap();
        let network = shipped[0].network().unwrap();
        let samples: Vec<Vec<f64>> =
            crate::shipped::calibration().unwrap().iter().take(8).map(<[f64]>::to_vec).collect();
        let options = CompileOptions { precision: 0.05, ..CompileOptions::new(&samples) };
        let compiled = compile(&network, &options).unwrap();
        let weights: Vec<String> = network
            .affines()
            .flat_map(|affine| affine.matrix.values().iter().take(50))
            .map(|weight| weight.abs().to_string())
            .filter(|weight| weight.len() > 6)
            .collect();
        let program = VerifiedProgram::new(compiled.program).unwrap();
        let levels = of(&program, &UnitCosts::default()).unwrap();
        let products: usize = compiled.report.plan.layers.iter().map(|layer| layer.products).sum();
        assert_eq!(levels.iter().map(|level| level.products).sum::<usize>(), products);
        assert!(levels.iter().all(|level| level.log_qp <= level.bound));
        let shown = format!("{}{}", table(&levels), svg(&program, &levels));
        assert!(shown.contains("</svg>") && shown.contains("squares"));
        for weight in weights {
            assert!(!shown.contains(&weight[..7]), "{weight}");
        }
    }
}
