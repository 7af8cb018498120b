//! Text as it may go to a person's terminal. Anybody may have typed what stands in the register or in Mailchimp: nothing
//! of it moves the cursor, changes colours, turns the reading direction, or makes a line of its own.

use std::borrow::Cow;

/// Longer values are cut for people: one must not fill the screen. `--json` has them whole.
const LONGEST: usize = 60;

/// The text with everything spelled out that a terminal would obey instead of showing it: `\u{1b}[31m`, `\n`.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_obeyed) {
        Cow::Owned(text.chars().map(spelled).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The same of a text in several lines, which stay lines.
pub(super) fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// The beginning of a long value, with a mark where it was cut.
pub(super) fn short(text: &str) -> String {
    cut(text, LONGEST)
}

/// At most `width` characters of a text, the last of them a mark where it was cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A line in pieces of at most `width` characters, broken at blanks; what follows the first is set in.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    let indent = line.chars().take_while(|c| *c == ' ').count() + 4;
    let mut pieces = Vec::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > width {
        let set_in = if pieces.is_empty() { indent - 4 } else { indent };
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let words = rest.char_indices().nth(set_in).map_or(rest.len(), |(at, _)| at);
        // A word that is longer than a line stays whole: it may be a link or a name to copy.
        let blank = rest.get(words..=end).and_then(|fits| fits.rfind(' ')).map(|at| words + at);
        let Some(at) = blank.or_else(|| rest.get(end..)?.find(' ').map(|at| end + at)) else { break };
        let (piece, left) = rest.split_at(at);
        pieces.push(piece.trim_end().to_owned());
        rest = format!("{:indent$}{}", "", left.trim_start());
    }
    pieces.push(rest);
    pieces
}

/// Control characters, line separators, and what turns or hides the reading direction.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

fn spelled(c: char) -> String {
    if is_obeyed(c) { c.escape_default().to_string() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed_by_a_terminal() {
        for (text, expected) in [
            ("Zoë Müller-O’Neill 李", "Zoë Müller-O’Neill 李"),
            ("a\0b\u{1b}[31mred\nline2", "a\\u{0}b\\u{1b}[31mred\\nline2"),
            ("one\rtwo\tthree\u{7f}\u{9b}2J", "one\\rtwo\\tthree\\u{7f}\\u{9b}2J"),
            ("\u{202e}evil\u{2066}x\u{2029}", "\\u{202e}evil\\u{2066}x\\u{2029}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown_lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn a_long_value_is_cut_with_a_mark() {
        assert_eq!(short("Ada"), "Ada");
        let cut = short(&"é".repeat(255));
        assert!(cut.chars().count() == LONGEST && cut.ends_with("é…"), "{cut}");
    }

    #[test]
    fn a_line_breaks_at_blanks_and_what_follows_is_set_in() {
        let check = |line: &str, expected: &[&str]| assert_eq!(wrapped(line, 20), expected, "{line}");
        check("short enough", &["short enough"]);
        check("  one two three four five six", &["  one two three four", "      five six"]);
        check("exactly twenty chars", &["exactly twenty chars"]);
        check(
            "https://alliance.test/profile?u=1 and more",
            &["https://alliance.test/profile?u=1", "    and more"],
        );
        check("https://alliance.test/profile?u=1", &["https://alliance.test/profile?u=1"]);
        check("a é́ ü ö ä é è à ç ñ ø å æ œ", &["a é́ ü ö ä é è à ç ñ", "    ø å æ œ"]);
    }
}
