//! A look at a register for `check`: every problem at once, and its first rows.

use crate::model::{Dimension, MergeTag};
use crate::registrations::catalogue::{Column, Kind, Zone};
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Standing};
use crate::registrations::link::{Link, Purpose};
use crate::registrations::mapping::{MappedValues, Name, RegisterMapping};
use crate::registrations::read::page;
use crate::registrations::report::{MappingProblem, RegisterReport};
use crate::registrations::times::{BadTime, read_time};

/// How many rows are shown.
const SAMPLES: usize = 3;

/// How many dimensions that nobody maps are named.
const DIMENSIONS: usize = 5;

/// What cannot be read at all.
pub(super) fn unreadable(problems: Vec<MappingProblem>) -> RegisterReport {
    RegisterReport { problems, features: None, rows: 0, samples: Vec::new() }
}

/// Looks at a register that can be read: whether it can be written, what stands in it. Changes nothing. `tried` is what
/// came of [`try_to_write`].
pub(super) fn examine(
    link: &Link<'_>,
    mapping: &RegisterMapping,
    values: &MappedValues,
    tried: Result<(), Fault>,
) -> Result<RegisterReport, Fault> {
    let mut problems = Vec::new();
    problems.extend(unwritable(tried));
    problems.extend(keys(link)?);
    problems.extend(zoneless(link)?);
    problems.extend(switched_off(link, mapping));
    problems.extend(timeless(link));
    problems.extend(wordless(link));
    problems.extend(generated(link));
    problems.extend(link.session.notices(link.layout)?);
    problems.extend(unmapped_interests(link, values)?);
    problems.sort_by_key(|problem| problem.severity);
    let text = format!("SELECT count(*) {} WHERE {}", link.sql.from, link.sql.live);
    let rows = link.first(&link.query(text))?;
    Ok(RegisterReport {
        problems,
        features: Some(link.layout.features()),
        rows: rows.text().parse().unwrap_or_default(),
        samples: page(link, None, SAMPLES)?,
    })
}

/// Writes to no row, in a transaction that is taken back.
pub(super) fn try_to_write(link: &Link<'_>) -> Result<(), Fault> {
    let (layout, dialect) = (link.layout, link.session.dialect());
    let mut columns: Vec<&Column> = vec![&layout.email, &layout.subscription];
    columns.extend(layout.subscription_changed_at.as_ref());
    columns.extend(layout.preferences_url.as_ref());
    columns.extend(layout.sync_note.as_ref());
    let is_written = |(tag, _): &(&MergeTag, &Column)| !layout.read_only.contains(*tag);
    columns.extend(layout.fields.iter().filter(is_written).map(|(_, column)| column));
    columns.retain(|column| !column.is_generated);
    let sets: Vec<String> = columns
        .iter()
        .map(|column| format!("{} = {}", dialect.quoted(&column.name), dialect.of("r", column)))
        .collect();
    let text = format!("UPDATE {} AS r SET {} WHERE FALSE", layout.table.sql, sets.join(", "));
    link.session.begin(Purpose::Write)?;
    let tried = link.session.execute(&link.query(text));
    link.session.roll_back();
    tried.map(|_| ())
}

/// Why the register cannot be written, if so.
fn unwritable(tried: Result<(), Fault>) -> Option<MappingProblem> {
    match tried {
        Ok(()) => None,
        Err(Fault::Away(_)) => {
            let problem = "another program holds its lock: writing could not be tried".to_owned();
            Some(MappingProblem::notice("registrations.url", problem))
        }
        Err(fault) => {
            let problem = format!(
                "the register cannot be written ({}); `plan` works without, `run` does not",
                fault.said()
            );
            Some(MappingProblem::error("registrations.url", problem))
        }
    }
}

/// Rows without a key are never read, rows that share one are taken for each other.
fn keys(link: &Link<'_>) -> Result<Option<MappingProblem>, Fault> {
    let (sql, id) = (&link.sql, &link.sql.id);
    let text = format!("SELECT count(*), count(DISTINCT {id}) {}", sql.from);
    let mut counts = (String::new(), String::new());
    link.session.each(&link.query(text), &mut |cells| {
        if let [rows, keys] = cells {
            counts = (rows.text().into_owned(), keys.text().into_owned());
        }
        Ok(())
    })?;
    let (rows, keys) = counts;
    Ok((rows != keys).then(|| {
        let problem = format!("{rows} rows have {keys} different keys; a key must be there and be unique");
        MappingProblem::error("registrations.columns.id", problem)
    }))
}

/// Times without an offset, where no zone says what they mean.
fn zoneless(link: &Link<'_>) -> Result<Option<MappingProblem>, Fault> {
    let (layout, dialect) = (link.layout, link.session.dialect());
    let columns =
        [&layout.subscription_changed_at, &layout.signup_at, &layout.created_at, &layout.updated_at];
    let left_at = (layout.standing == Standing::LeftAt).then_some(&layout.subscription);
    let mut named = Vec::new();
    for column in columns.into_iter().flatten().chain(left_at).filter(|_| layout.zone.is_none()) {
        if matches!(column.kind, Kind::Time { zone: Zone::Utc, .. } | Kind::Integer) {
            continue;
        }
        let (name, shown) = (dialect.of("r", column), dialect.shown("r", column));
        let text = format!("SELECT {shown} {} WHERE {name} IS NOT NULL ORDER BY {name} DESC", link.sql.from);
        let mut is_zoneless = false;
        link.session.each(&link.query(text).of_values(), &mut |cells| {
            is_zoneless |= cells.first().is_some_and(|cell| read_time(cell, None) == Err(BadTime::NoZone));
            Ok(())
        })?;
        if is_zoneless {
            named.push(format!("{:?}", column.name));
        }
    }
    Ok((!named.is_empty()).then(|| {
        let problem = format!("times without an offset stand in {}; name their zone", named.join(", "));
        MappingProblem::error("registrations.time_zone", problem)
    }))
}

/// Columns that Rosterd would have to write, and cannot.
fn generated(link: &Link<'_>) -> Vec<MappingProblem> {
    let layout = link.layout;
    let said = |column: &Column| format!("the column {:?} is generated by the register", column.name);
    let standing = match layout.standing {
        Standing::Words(_) => "subscription",
        Standing::LeftAt => "unsubscribed_at",
    };
    let own = [
        ("email", Some(&layout.email)),
        (standing, Some(&layout.subscription)),
        ("subscription_changed_at", layout.subscription_changed_at.as_ref()),
        ("preferences_url", layout.preferences_url.as_ref()),
        ("sync_note", layout.sync_note.as_ref()),
    ];
    let own = own.into_iter().filter_map(|(key, column)| {
        let column = column.filter(|column| column.is_generated)?;
        let problem = format!("{}, and Rosterd has to write it", said(column));
        Some(MappingProblem::error(&format!("registrations.columns.{key}"), problem))
    });
    let fields =
        layout.fields.iter().filter(|(tag, column)| column.is_generated && !layout.read_only.contains(*tag));
    let fields = fields.map(|(tag, column)| {
        let problem = format!("{}: set direction = \"to_mailchimp\"", said(column));
        MappingProblem::notice(&format!("merge_field {tag}"), problem)
    });
    own.chain(fields).collect()
}

/// A time of changes that does not sort by time on a server, whatever stands in it.
fn timeless(link: &Link<'_>) -> Option<MappingProblem> {
    let column = link.layout.updated_at.as_ref()?;
    let is_timeless = match column.kind {
        Kind::Loose | Kind::Untyped | Kind::Integer | Kind::Time { .. } => false,
        Kind::Text(_) | Kind::Flag | Kind::Date | Kind::Binary | Kind::Uuid => true,
        Kind::Json | Kind::Array | Kind::Set | Kind::Other => true,
    };
    is_timeless.then(|| {
        let problem = format!(
            "the column {:?} is neither a time of day nor a number: every cycle reads the whole register",
            column.name
        );
        MappingProblem::notice("registrations.columns.updated_at", problem)
    })
}

/// What the register cannot say of a person.
fn wordless(link: &Link<'_>) -> Option<MappingProblem> {
    let (layout, features) = (link.layout, link.layout.features());
    let told = match features.sync_note {
        true => "their rows go on to say what they say, and the note tells the rest",
        false => {
            "their rows go on to say what they say, and there is no column for a note that would tell the rest"
        }
    };
    let (key, words) = match (features.lacks_pending, features.lacks_cleaned) {
        (true, true) => ("pending", "pending and cleaned"),
        (true, false) => ("pending", "pending"),
        (false, true) => ("cleaned", "cleaned"),
        (false, false) => return None,
    };
    let key = match layout.standing {
        Standing::Words(_) => format!("registrations.statuses.{key}"),
        Standing::LeftAt => "registrations.columns.unsubscribed_at".to_owned(),
    };
    let name = &layout.subscription.name;
    let problem = format!("the column {name:?} has no word for people who are {words}: {told}");
    Some(MappingProblem::notice(&key, problem))
}

/// Optional columns that the register lacks and somebody may have counted on.
fn switched_off(link: &Link<'_>, mapping: &RegisterMapping) -> Vec<MappingProblem> {
    let layout = link.layout;
    let columns = &mapping.columns;
    let cases: [(&str, bool, &Name, &str); 4] = [
        (
            "subscription_changed_at",
            layout.subscription_changed_at.is_some(),
            &columns.subscription_changed_at,
            "without the time of consent nobody can be subscribed again without being asked, and the times of the \
             sign-up and of the row stand in for it",
        ),
        (
            "updated_at",
            layout.updated_at.is_some(),
            &columns.updated_at,
            "without the time of changes every cycle reads the whole register, and prefer = \"newest\" cannot tell",
        ),
        (
            "sync_note",
            layout.sync_note.is_some(),
            &columns.sync_note,
            "without a column for notes the website cannot show why a row is not synchronized",
        ),
        (
            "preferences_url",
            layout.preferences_url.is_some(),
            &columns.preferences_url,
            "without a column for the link the welcome mail cannot show the preference center",
        ),
    ];
    cases
        .into_iter()
        .filter(|(_, is_there, name, _)| !is_there && **name != Name::Off)
        .map(|(key, _, _, problem)| {
            MappingProblem::notice(&format!("registrations.columns.{key}"), problem.to_owned())
        })
        .collect()
}

/// Interests of dimensions that the configuration does not map: they are neither read nor touched, and may be a slip.
fn unmapped_interests(link: &Link<'_>, values: &MappedValues) -> Result<Vec<MappingProblem>, Fault> {
    let InterestPlace::Rows { table, dimension, .. } = &link.layout.interests else { return Ok(Vec::new()) };
    let dialect = link.session.dialect();
    let (name, shown) = (dialect.of("i", dimension), dialect.shown("i", dimension));
    let text = format!(
        "SELECT {shown}, count(*) FROM {} AS i WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 1",
        table.sql
    );
    let (mut problems, mut n_more) = (Vec::new(), 0);
    link.session.each(&link.query(text).of_values(), &mut |cells| {
        let [name, count] = cells else { return Ok(()) };
        let (name, count) = (name.text(), count.text());
        if values.dimensions.contains(&Dimension::new(&name)) {
            return Ok(());
        }
        if problems.len() == DIMENSIONS {
            n_more += 1;
            return Ok(());
        }
        let word = if count == "1" { "interest" } else { "interests" };
        let problem = format!(
            "{count} {word} of the dimension {name:?}, which no [[interest]] maps, will not be synchronized"
        );
        problems.push(MappingProblem::notice("registrations.interests.dimension", problem));
        Ok(())
    })?;
    if n_more > 0 {
        let problem = format!("and {n_more} more dimensions that are not mapped");
        problems.push(MappingProblem::notice("registrations.interests.dimension", problem));
    }
    Ok(problems)
}
