//! Durations and sizes as people write them: a whole number and a unit, always both.
//! Only what the configuration accepts; the bounds of a value belong to the key that reads it.

use std::time::Duration;

/// Reads `250ms`, `30s`, `5m`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "ms" => return whole(number, text).map(Duration::from_millis),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "" => return Err("a duration needs a unit: ms, s, m or h".to_owned()),
        other => return Err(format!("`{other}` is not a unit of time: use ms, s, m or h")),
    };
    let total = whole(number, text)?.checked_mul(seconds).ok_or_else(|| format!("`{text}` is too large"))?;
    Ok(Duration::from_secs(total))
}

/// Reads `512B`, `64KiB`, `4MiB`, `1GiB`, and the decimal `10KB`, `10MB`, `1GB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "" => return Err("a size needs a unit: B, KiB, MiB, GiB, KB, MB or GB".to_owned()),
        other => return Err(format!("`{other}` is not a unit of size: use B, KiB, MiB, GiB, KB, MB or GB")),
    };
    whole(number, text)?.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// A duration in the largest unit that writes it as a whole number.
pub(super) fn show_duration(value: Duration) -> String {
    let milliseconds = value.as_millis();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds != 0 && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// A size in the largest binary unit that writes it as a whole number.
pub(super) fn show_size(value: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if value != 0 && value.is_multiple_of(1 << shift) {
            return format!("{}{unit}", value >> shift);
        }
    }
    format!("{value}B")
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn whole(number: &str, text: &str) -> Result<u64, String> {
    if number.is_empty() {
        return Err(format!("`{text}` does not start with a whole number"));
    }
    number.parse().map_err(|_| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("0s", 0), ("7 s", 7_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "5", "s", "-5s", "1.5s", "5d", "5S", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1B", 1),
            ("64KiB", 65_536),
            ("4MiB", 4 << 20),
            ("1GiB", 1 << 30),
            ("10MB", 10_000_000),
            ("2kB", 2_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "5", "KiB", "-1KiB", "4mib", "4M", "99999999999999999999B", "18446744073709551615KiB"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_shown_as_they_would_be_written() {
        for (value, text) in [
            (Duration::from_millis(1500), "1500ms"),
            (Duration::from_secs(120), "2m"),
            (Duration::ZERO, "0ms"),
        ] {
            assert_eq!(show_duration(value), text);
            assert_eq!(duration(text), Ok(value));
        }
        for (value, text) in [(4u64 << 20, "4MiB"), (1000, "1000B"), (0, "0B")] {
            assert_eq!(show_size(value), text);
            assert_eq!(size(text), Ok(value));
        }
    }
}
