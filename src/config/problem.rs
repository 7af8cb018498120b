//! What is wrong with a configuration: every problem at once, each with its place and its key.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Line and column in the file, both from 1; `None` where the problem has no place in it.
    pub place: Option<(usize, usize)>,
    /// The section and the key, `[sync] interval`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub said: String,
}

/// Everything that is wrong with the configuration, in the order of the file; the program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ConfigErrors {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, said } = self;
        if let Some((line, column)) = place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(said)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problems } = self;
        let path = path.display();
        match problems.as_slice() {
            [only] => write!(f, "{path}: {only}"),
            problems => {
                write!(f, "{path} has {} problems", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_takes_one_line_and_several_a_list() {
        let problem = Problem {
            place: Some((3, 1)),
            key: "[sync] interval".into(),
            said: "must be at least 1s".into(),
        };
        let whole = Problem { place: None, key: String::new(), said: "cannot be read: no such file".into() };
        let one = ConfigErrors { path: "a.toml".into(), problems: vec![whole.clone()] };
        assert_eq!(one.to_string(), "a.toml: cannot be read: no such file");
        let two = ConfigErrors { path: "a.toml".into(), problems: vec![whole, problem] };
        assert_eq!(
            two.to_string(),
            "a.toml has 2 problems\n  cannot be read: no such file\n  \
             line 3, column 1: [sync] interval: must be at least 1s"
        );
    }
}
