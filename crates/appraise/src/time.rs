//! Points in time. No clock: the time of a verification is an argument.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const DAY: u64 = 86_400;

/// Seconds since 1970-01-01T00:00:00Z.
///
/// Prints and parses as RFC 3339 in UTC. Years beyond 9999 print as the last second of 9999, which X.509 (RFC 5280,
/// section 4.1.2.5) uses for "no end".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnixTime(pub u64);

/// Text that is no point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2025-07-01T12:00:00Z, or seconds since 1970")]
pub struct TimeError;

impl UnixTime {
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// Seconds from this time until `later`; 0 when that is not later.
    pub fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// This time and `seconds` more.
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + of_year;
    ((year / 400) * 146_097 + of_era).checked_sub(719_468)
}

/// Year, month and day of days since 1970-01-01: the inverse of [`days`].
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.min(Self::MAX.0);
        let (year, month, day) = date(seconds / DAY);
        let of_day = seconds % DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A number of exactly `digits` decimal digits at the start, and what follows.
fn number(text: &str, digits: usize) -> Option<(u64, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    head.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    Some((head.parse().ok()?, rest))
}

/// RFC 3339, section 5.6; fractions of a second are dropped, a leap second counts as the second before.
fn rfc3339(text: &str) -> Option<UnixTime> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (end.len() < fraction.len()).then_some(end)?
        }
        None => rest,
    };
    let known = (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second <= 60;
    known.then_some(())?;
    let whole = days(year, month, day)?;
    // A day that the month does not have comes back as another date.
    (date(whole) == (year, month, day)).then_some(())?;
    let local = whole * DAY + hour * 3600 + minute * 60 + second.min(59);
    if matches!(rest, "Z" | "z") {
        return Some(UnixTime(local));
    }
    let (east, rest) = match rest.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('-')?),
    };
    let (hours, rest) = number(rest, 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    (hours < 24 && minutes < 60 && rest.is_empty()).then_some(())?;
    let offset = hours * 3600 + minutes * 60;
    Some(UnixTime(if east { local.checked_sub(offset)? } else { local + offset }))
}

impl FromStr for UnixTime {
    type Err = TimeError;

    /// Reads RFC 3339, or seconds since 1970 in decimal digits.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        match text.parse() {
            Ok(seconds) if seconds <= Self::MAX.0 => Ok(Self(seconds)),
            _ => rfc3339(text).ok_or(TimeError),
        }
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_parse() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_750_330_571, "2025-06-19T10:56:11Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(UnixTime(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(UnixTime(seconds)));
            assert_eq!(seconds.to_string().parse(), Ok(UnixTime(seconds)));
        }
        assert_eq!("2025-06-19T12:56:11.25+02:00".parse(), Ok(UnixTime(1_750_330_571)));
        assert_eq!("2025-06-19T08:56:11-02:00".parse(), Ok(UnixTime(1_750_330_571)));
        assert_eq!(UnixTime(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in 0..150_000 {
            let (y, m, d) = date(day);
            assert_eq!(days(y, m, d), Some(day), "{y}-{m}-{d}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        let wrong = [
            "",
            "now",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00Z ",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "-1",
            "253402300800",
            "2025-01-01T00:00:00+00:0é",
        ];
        for text in wrong {
            assert_eq!(text.parse::<UnixTime>(), Err(TimeError), "{text}");
        }
    }
}
