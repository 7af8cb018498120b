//! The known name that was most likely meant.

/// Below this likeness (Jaro-Winkler, 0 to 1) a guess confuses more than it aids.
const LIKE_ENOUGH: f64 = 0.8;

/// `; did you mean X?` where a known name comes near, each shown as `show` writes it; else nothing.
pub(in crate::cli) fn did_you_mean<'k>(
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    show: impl Fn(&str) -> String,
) -> String {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| format!("; did you mean {}?", show(known)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed_and_none_that_is_far() {
        let known = ["FNAME", "LNAME", "PHONE", "Topics"];
        let cases = [
            ("FNAMW", "; did you mean FNAME?"),
            ("topic", "; did you mean Topics?"),
            ("ORG", ""),
            ("COUNTRY", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(did_you_mean(name, known, str::to_owned), expected, "{name}");
        }
    }
}
