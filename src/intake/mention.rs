//! Whether a text names an address, however the text spells it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A text that is encoded over and over is decoded so many times; what is not plain by then may name anybody.
const DEPTH: usize = 8;

/// Whether a text names one of these addresses (by their keys): as it stands, as a form or a URL spells it, as JSON does, or
/// as one of them inside the other.
///
/// A longer address that ends with one of them names it, too: whoever erases rather takes too much.
pub(super) fn names_any(text: &[u8], keys: &[String]) -> bool {
    let mut text = String::from_utf8_lossy(text);
    for _ in 0..DEPTH {
        let folded = text.to_lowercase();
        if keys.iter().any(|key| folded.contains(key.as_str())) {
            return true;
        }
        match decoded(&text) {
            Some(plainer) => text = Cow::Owned(plainer),
            None => return false,
        }
    }
    true
}

/// The text with every escape of a form and of JSON resolved once; `None` where there is none.
fn decoded(text: &str) -> Option<String> {
    let unescaped = percent_decode_str(text).decode_utf8_lossy();
    let mut plain = String::with_capacity(unescaped.len());
    let mut rest = &*unescaped;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let (c, length) =
            unicode(escape.as_bytes()).or_else(|| short(escape.as_bytes())).unwrap_or(('\\', 1));
        plain.push(c);
        rest = &escape[length..];
    }
    plain.push_str(rest);
    (plain != text).then_some(plain)
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits?;
    let text = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(text, 16).ok()
}

/// `\u0040`, or a pair of them.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| match text.get(at..at + 2) {
        Some(b"\\u") => hex(text.get(at + 2..at + 6)),
        _ => None,
    };
    let high = unit(0)?;
    match (high, unit(6)) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12))
        }
        _ => Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6)),
    }
}

/// `\/`, `\\`, `\"`
fn short(text: &[u8]) -> Option<(char, usize)> {
    text.get(1).filter(|c| matches!(c, b'/' | b'\\' | b'"')).map(|c| (char::from(*c), 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_an_address_however_it_spells_it() {
        for (text, key) in [
            ("x=Ada@b.test", "ada@b.test"),
            ("data[email]=ada%2bx%40b.test", "ada+x@b.test"),
            ("data%5Bemail%5D=o%27brien%40b.test", "o'brien@b.test"),
            ("e=%C3%8BVA%40b.test", "\u{eb}va@b.test"),
            (r#"{"e":"zo\u00EB\u0040b.test"}"#, "zo\u{eb}@b.test"),
            (r#"{"e":"\uD835\uDD52@b.test"}"#, "\u{1d552}@b.test"),
            (r#"{"e":"a\/b@b.test"}"#, "a/b@b.test"),
            (r#"{"body":"{\"e\":\"zo\\u00eb@b.test\"}"}"#, "zo\u{eb}@b.test"),
            ("e=%257a%2540b.test", "z@b.test"),
            ("\u{fffd}%ff z%40b.test", "z@b.test"),
        ] {
            assert!(names_any(text.as_bytes(), &[key.to_owned()]), "{text}");
        }
        for text in ["e=ben%40b.test", "100% of z at b.test", r"\u004", "%4", ""] {
            assert!(!names_any(text.as_bytes(), &["z@b.test".to_owned()]), "{text}");
        }
        let deep = (0..9).fold("%40".to_owned(), |text, _| text.replace('%', "%25"));
        assert!(names_any(deep.as_bytes(), &["z@b.test".to_owned()]), "what cannot be read to its end");
    }
}
