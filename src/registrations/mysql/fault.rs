//! MySQL's and MariaDB's errors, sorted by what is done about them. <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>
//! <https://mariadb.com/docs/server/reference/error-codes>

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

use crate::registrations::server::fault::Sort;

/// What an error of the server's calls for.
pub(super) fn sort(error: &dyn DatabaseError) -> Sort {
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
    of_number(number, error.code().as_deref().unwrap_or_default())
}

fn of_number(number: u16, state: &str) -> Sort {
    match number {
        // A deadlock; the record changed since it was read.
        1213 | 1020 => Sort::Raced,
        // Another's lock; a limit of time.
        1205 | 3024 | 1969 | 1317 => Sort::Away,
        // Too many connections, shut down, killed.
        1040 | 1203 | 1053 | 1927 | 4031 => Sort::Cut,
        // No room.
        1021 | 1114 => Sort::NoRoom,
        // A server that only reads; views and columns that cannot be written; no right.
        1290 | 1836 | 1792 | 1288 | 1348 | 1356 | 1471 | 1227 => Sort::Mapping,
        // No default; a bad text, number, date; cut; a check; a generated column; what a trigger signals.
        1364 | 1366 | 1265 | 1292 | 3819 | 4025 | 3105 | 1906 | 1644 | 3140 => Sort::Refused,
        _ if state.starts_with("22") || state.starts_with("23") || state.starts_with("45") => Sort::Refused,
        _ if state.starts_with("42") || state.starts_with("28") || state == "3D000" => Sort::Mapping,
        _ if state.starts_with("08") => Sort::Cut,
        _ => Sort::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_what_is_done_about_them() {
        for (number, state, sort) in [
            (1213, "40001", Sort::Raced),
            (1205, "HY000", Sort::Away),
            (1053, "08S01", Sort::Cut),
            (1114, "HY000", Sort::NoRoom),
            (1062, "23000", Sort::Refused),
            (1406, "22001", Sort::Refused),
            (1366, "HY000", Sort::Refused),
            (1644, "45000", Sort::Refused),
            (1054, "42S22", Sort::Mapping),
            (1146, "42S02", Sort::Mapping),
            (1045, "28000", Sort::Mapping),
            (1290, "HY000", Sort::Mapping),
            (1105, "HY000", Sort::Failed),
        ] {
            assert_eq!(of_number(number, state), sort, "{number}");
        }
    }
}
