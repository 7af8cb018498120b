//! Single values of the file, each parsed once into what it means.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::mistake::Mistake;

/// A share in hundredths of a percent, from 0 to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// So many whole percent, at most 100.
    pub const fn percent(percent: u32) -> Self {
        Self(if percent > 100 { 10_000 } else { percent * 100 })
    }

    /// Hundredths of a percent.
    pub const fn hundredths_of_percent(self) -> u32 {
        self.0
    }
}

/// What kind of value this is, for people.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The value is not of the kind `wanted`.
pub(crate) fn wrong(wanted: &'static str, value: &DeValue<'_>) -> Mistake {
    Mistake::WrongType { wanted, found: kind(value) }
}

/// A text that says something, without the white space around it.
pub(crate) fn text(value: &DeValue<'_>) -> Result<String, Mistake> {
    let text = verbatim(value)?.trim().to_owned();
    if text.is_empty() { Err(Mistake::Empty) } else { Ok(text) }
}

/// A text that says something, white space included.
pub(crate) fn verbatim(value: &DeValue<'_>) -> Result<String, Mistake> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err(Mistake::Empty),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(wrong("a text in quotes", other)),
    }
}

/// A list of texts; one text stands for a list of one.
pub(crate) fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Mistake> {
    match value {
        DeValue::Array(list) => list.iter().map(|item| text(item.get_ref())).collect(),
        DeValue::String(_) => text(value).map(|text| vec![text]),
        other => Err(wrong("a list of texts", other)),
    }
}

/// `true` or `false`.
pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, Mistake> {
    match value {
        DeValue::Boolean(flag) => Ok(*flag),
        other => Err(wrong("true or false", other)),
    }
}

/// A whole number from `least` to `most`.
pub(crate) fn count(value: &DeValue<'_>, least: u64, most: u64) -> Result<u64, Mistake> {
    let found = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return Err(wrong("a whole number", other)),
    };
    let number = match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Mistake::OutOfRange { least, most, found }),
    }
}

/// A duration of at least `least`.
pub(crate) fn duration(value: &DeValue<'_>, least: Duration) -> Result<Duration, Mistake> {
    let DeValue::String(text) = value else { return Err(wrong("a duration in quotes (\"5m\")", value)) };
    let duration = parse_duration(text).ok_or_else(|| Mistake::Duration(text.to_string()))?;
    if duration < least { Err(Mistake::TooShort { least }) } else { Ok(duration) }
}

/// `5%`: a share.
pub(crate) fn share(value: &DeValue<'_>) -> Result<Share, Mistake> {
    let DeValue::String(text) = value else { return Err(wrong("a percentage in quotes (\"5%\")", value)) };
    parse_share(text).ok_or_else(|| Mistake::Share(text.to_string()))
}

/// One of a few words, each with what it means.
pub(crate) fn word<T: Copy>(value: &DeValue<'_>, words: &[(&'static str, T)]) -> Result<T, Mistake> {
    let found = text(value)?;
    let meant = words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning);
    meant.ok_or_else(|| Mistake::Word { found, words: words.iter().map(|(word, _)| *word).collect() })
}

/// Reads `90s`, `5m`, `24h`, `7d`, `1h30m`: whole numbers, each with its unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: u64 = number.parse().ok()?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after.trim_start();
    }
    Some(total)
}

/// Reads `5%`, `0.5%`, `12.25 %`.
fn parse_share(text: &str) -> Option<Share> {
    let number = text.trim().strip_suffix('%')?.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = format!("{fraction:0<2}").parse().ok()?;
    let share = whole.checked_mul(100)?.checked_add(fraction)?;
    (share <= 10_000).then_some(Share(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        let cases = [
            ("90s", Some(90_000)),
            ("1m", Some(60_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1h 30min", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("", None),
            ("90", None),
            ("m", None),
            ("-1m", None),
            ("1.5h", None),
            ("1 fortnight", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn shares_are_percentages_up_to_a_hundred() {
        let cases = [
            ("5%", Some(500)),
            ("0.5%", Some(50)),
            ("12.25 %", Some(1225)),
            ("0%", Some(0)),
            ("100%", Some(10_000)),
            ("100.01%", None),
            ("5", None),
            ("-5%", None),
            ("five%", None),
            (".5%", None),
            ("0.125%", None),
            ("%", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_share(text), expected.map(Share), "{text:?}");
        }
    }
}
