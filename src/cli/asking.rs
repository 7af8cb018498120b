//! A question to whoever sits at the terminal; elsewhere the answer is no.

use std::io::{IsTerminal, Write};

use crate::cli::exit::Fault;
use crate::cli::shown::shown_lines;

/// Whether somebody is there to be asked.
pub(super) fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; whatever is not a yes is a no.
pub(super) async fn says_yes(question: &str) -> Result<bool, Fault> {
    if !somebody_is_there() {
        return Ok(false);
    }
    tell(&format!("{question} [y/N] "))?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let yes = is_yes(&answer.await.map_err(Fault::failed)?.map_err(Fault::failed)?);
    if !yes {
        // After the end of input the cursor still stands behind the question.
        tell("\n")?;
    }
    Ok(yes)
}

/// Says something beside the results: to standard error.
pub(super) fn tell(text: &str) -> Result<(), Fault> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{}", shown_lines(text)).and_then(|()| stderr.flush()).map_err(Fault::failed)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_a_yes_is_a_no() {
        for (answer, expected) in [
            ("y\n", true),
            ("YES\n", true),
            (" yes \r\n", true),
            ("n\n", false),
            ("\n", false),
            ("", false),
            ("ye", false),
        ] {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
