//! What was expected beside what was found: placeholders, and a difference that people can read.

/// Whether a line is as expected: `{n}` stands for a number, `{…}` for anything.
fn fits(expected: &str, found: &str) -> bool {
    if let Some(rest) = expected.strip_prefix("{…}") {
        let ends = found.char_indices().map(|(at, _)| at).chain([found.len()]);
        return ends.into_iter().any(|end| fits(rest, &found[end..]));
    }
    if let Some(rest) = expected.strip_prefix("{n}") {
        let digits = found.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(found.len());
        return digits > 0 && fits(rest, &found[digits..])
            || found.strip_prefix("{n}").is_some_and(|found| fits(rest, found));
    }
    let (mut expected, mut found) = (expected.chars(), found.chars());
    match (expected.next(), found.next()) {
        (None, None) => true,
        (Some(a), Some(b)) if a == b => fits(expected.as_str(), found.as_str()),
        _ => false,
    }
}

/// Compares line by line; on a difference, shows both with `-` what was expected and `+` what was found.
pub(crate) fn difference(expected: &[String], found: &[String]) -> Option<String> {
    if expected.len() == found.len() && expected.iter().zip(found).all(|(a, b)| fits(a, b)) {
        return None;
    }
    // The longest common subsequence, from the ends.
    let mut common = vec![vec![0_usize; found.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..found.len()).rev() {
            common[i][j] = match fits(&expected[i], &found[j]) {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < expected.len() || j < found.len() {
        let same = i < expected.len() && j < found.len() && fits(&expected[i], &found[j]);
        let (sign, line) = if same {
            (i, j) = (i + 1, j + 1);
            (' ', &found[j - 1])
        } else if i < expected.len() && (j == found.len() || common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', &expected[i - 1])
        } else {
            j += 1;
            ('+', &found[j - 1])
        };
        text.push_str(&format!("  {sign} {line}\n"));
    }
    Some(text)
}

/// What is to stand in the file: lines that were as expected stay as they are, placeholders included.
pub(crate) fn renewed(expected: &[String], found: &[String]) -> Vec<String> {
    let kept = |line: &String| expected.iter().find(|expected| fits(expected, line)).unwrap_or(line).clone();
    found.iter().map(kept).collect()
}

#[test]
fn placeholders_stand_for_what_varies_and_a_difference_shows_both_sides() {
    for (expected, found, result) in [
        ("with {n} requests in {n} s.", "with 12 requests in 0.3 s.", true),
        ("with {n} requests", "with no requests", false),
        ("a {…} z", "a b c z", true),
        ("a {…} z", "a b c", false),
        ("{…}", "", true),
        ("same", "same again", false),
    ] {
        assert_eq!(fits(expected, found), result, "{expected} / {found}");
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = difference(&lines("a\nb {n}\nc"), &lines("a\nb 7\nd")).unwrap();
    assert_eq!(shown, "    a\n    b 7\n  - c\n  + d\n");
    assert_eq!(renewed(&lines("a\nb {n}\nc"), &lines("a\nb 7\nd")), ["a", "b {n}", "d"]);
}
