//! PostgreSQL's error codes, sorted by what is done about them. <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use sqlx::error::DatabaseError;

use crate::registrations::server::fault::Sort;

/// What an error of the server's calls for.
pub(super) fn sort(error: &dyn DatabaseError) -> Sort {
    of_code(error.code().as_deref().unwrap_or_default())
}

fn of_code(code: &str) -> Sort {
    match code {
        // Serialization failure, deadlock.
        "40001" | "40P01" => Sort::Raced,
        // Another's lock, our own time-out.
        "55P03" | "57014" => Sort::Away,
        // Shut down, crashed, starting, idle for too long in a transaction.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Sort::Cut,
        // "cached plan must not change result type": the tables were changed.
        "0A000" => Sort::Cut,
        "53100" => Sort::NoRoom,
        // Too many connections, and other want of resources.
        _ if code.starts_with("53") || code.starts_with("08") => Sort::Cut,
        // Bad values, constraints, what a trigger raises, a view's check, a generated column.
        "P0001" | "428C9" | "44000" => Sort::Refused,
        _ if code.starts_with("22") || code.starts_with("23") => Sort::Refused,
        // No such table or column, no right; not who we say we are; no such database or schema; a server that only reads.
        "3D000" | "3F000" | "25006" => Sort::Mapping,
        _ if code.starts_with("42") || code.starts_with("28") => Sort::Mapping,
        _ => Sort::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_is_done_about_them() {
        for (code, sort) in [
            ("40001", Sort::Raced),
            ("55P03", Sort::Away),
            ("57P01", Sort::Cut),
            ("53300", Sort::Cut),
            ("53100", Sort::NoRoom),
            ("23505", Sort::Refused),
            ("22001", Sort::Refused),
            ("P0001", Sort::Refused),
            ("42703", Sort::Mapping),
            ("42501", Sort::Mapping),
            ("28P01", Sort::Mapping),
            ("25006", Sort::Mapping),
            ("XX000", Sort::Failed),
        ] {
            assert_eq!(of_code(code), sort, "{code}");
        }
    }
}
