//! `adyton-attacks`: runs the suite and prints its table.

use std::io::Write;
use std::process::ExitCode;

use adyton_attacks::{ATTACKS, Report};

const HELP: &str = "\
Attacks of a malicious host on the enclave: each without the defence (it must succeed) and with it (it must not).

Usage: adyton-attacks [--json]

  --json      One JSON object a line.
  -h, --help  This text.

Levels: A, the host follows the protocol and remembers; B, it deviates; C, a data owner helps it (THREATS.md).
Ends with status 1 when an attack went otherwise than it must.
";

fn main() -> anyhow::Result<ExitCode> {
    let mut json = false;
    let mut parser = lexopt::Parser::from_env();
    let mut out = std::io::stdout().lock();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                out.write_all(HELP.as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut all = true;
    for attack in ATTACKS {
        let report = attack()?;
        all &= report.as_expected();
        if json {
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        } else {
            print(&mut out, &report)?;
        }
        out.flush()?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let mark = if report.as_expected() { "" } else { "   SURPRISE" };
    writeln!(out, "{} (level {:?}){mark}", report.attack, report.level)?;
    writeln!(out, "    without {}: {}", report.defence, report.off.found)?;
    writeln!(out, "    with it: {}", report.on.found)?;
    if let Some(bound) = &report.bound {
        writeln!(out, "    bound: {bound}")?;
    }
    Ok(())
}
