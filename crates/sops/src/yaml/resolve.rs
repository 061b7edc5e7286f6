//! What a plain scalar means, as SOPS reads it (YAML 1.2 with the numbers and times of YAML 1.1): its value decides what is
//! authenticated, so both have to agree.

use crate::tree::Scalar;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Rfc3339};

/// The value of a plain scalar; `None` for nothing at all.
pub(crate) fn plain(text: &str) -> Option<Scalar> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "true" | "True" | "TRUE" => return Some(Scalar::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Scalar::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        _ => {}
    }
    let number = || int(text).map(Scalar::Int).or_else(|| float(text).map(Scalar::Float));
    let begins = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    let special = if begins { timestamp(text).map(Scalar::Time).or_else(number) } else { None };
    Some(special.unwrap_or_else(|| Scalar::text(text)))
}

/// The value of a scalar with a tag of YAML itself: `Some(None)` is nothing at all, `None` a tag that does not fit.
pub(crate) fn tagged(tag: &str, text: &str) -> Option<Option<Scalar>> {
    match (tag, plain(text)) {
        ("str", _) => Some(Some(Scalar::text(text))),
        ("null", None) => Some(None),
        ("float", Some(Scalar::Int(number))) => {
            number.to_string().parse().ok().map(|float| Some(Scalar::Float(float)))
        }
        ("bool", Some(value @ Scalar::Bool(_)))
        | ("int", Some(value @ Scalar::Int(_)))
        | ("float", Some(value @ Scalar::Float(_)))
        | ("timestamp", Some(value @ Scalar::Time(_))) => Some(Some(value)),
        _ => None,
    }
}

/// Decimal, `0x`, `0o`, `0b`, and a bare leading zero for octal; underscores are skipped.
fn int(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let parse = |digits: &str, radix| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
    let lower = digits.to_ascii_lowercase();
    match lower.as_bytes() {
        [b'0', b'x', ..] => parse(&lower[2..], 16),
        [b'0', b'o', ..] => parse(&lower[2..], 8),
        [b'0', b'b', ..] => parse(&lower[2..], 2),
        [b'0', _, ..] => parse(&lower[1..], 8),
        _ => parse(&lower, 10),
    }
}

fn float(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']);
    let fits = plain.len() - digits.len() <= 1
        && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.contains(|one: char| one.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if fits { plain.parse().ok() } else { None }
}

/// A date, or a date with a time and perhaps an offset; a time without one is in UTC.
fn timestamp(text: &str) -> Option<String> {
    let year = text.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let rest = text.get(4..)?.strip_prefix('-')?;
    let (month, rest) = rest.split_once('-')?;
    let split = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
    let (day, rest) = rest.split_at(split);
    let month = Month::try_from(short(month)?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, short(day)?).ok()?;
    let (time, offset) = match rest.chars().next() {
        None => (Time::MIDNIGHT, UtcOffset::UTC),
        Some(first @ ('T' | 't' | ' ')) => clock(rest[1..].trim_start_matches(' '), first != ' ')?,
        Some(_) => return None,
    };
    PrimitiveDateTime::new(date, time).assume_offset(offset).format(&Rfc3339).ok()
}

/// One or two digits.
fn short(text: &str) -> Option<u8> {
    let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `15:4:5.999` with an offset where one is needed.
fn clock(text: &str, with_offset: bool) -> Option<(Time, UtcOffset)> {
    let split = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (time, offset) = text.split_at(split);
    let mut parts = time.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    let time = Time::from_hms_nano(short(hour)?, short(minute)?, short(second)?, nanoseconds).ok()?;
    let offset = match (with_offset, offset) {
        (false, "") | (true, "Z") => UtcOffset::UTC,
        (true, offset) if !offset.is_empty() => {
            let (hours, minutes) = offset[1..].split_once(':')?;
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let part = |text| short(text).and_then(|part| i8::try_from(part).ok());
            UtcOffset::from_hms(sign * part(hours)?, sign * part(minutes)?, 0).ok()?
        }
        _ => return None,
    };
    Some((time, offset))
}
