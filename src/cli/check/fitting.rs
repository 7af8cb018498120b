//! What `check` finds between the configuration, the register and the audience. Pure.

use crate::cli::check::finding::Finding;
use crate::cli::fit::{
    Audience, Lacking, MAX_MERGE_TAG, MAX_TAG, Rows, SigningSecret, WebhookPlace, WebhookStep, did_you_mean,
    lacking,
};
use crate::cli::mapped::Mapped;
use crate::cli::output::counted;
use crate::config::{FieldSource, InterestTarget};
use crate::model::{Dimension, Interest, Key};

/// How many interests of one category are named one by one.
const NAMED: usize = 10;

const PROVISION: &str = "rosterd provision creates it";

/// Everything that does not fit; `rows` are absent where the register cannot be read.
pub(super) fn findings(mapped: &Mapped<'_>, rows: Option<&Rows>, audience: &Audience) -> Vec<Finding> {
    let nobody = Rows::default();
    let lacking = lacking(mapped, rows.unwrap_or(&nobody), audience);
    let mut findings = merge_fields(mapped, &lacking, audience);
    findings.extend(categories(&lacking, audience));
    if let Some(rows) = rows {
        findings.extend(misfits(mapped, rows));
        findings.extend(interests(&lacking, rows, audience));
    }
    findings.extend(groups(mapped, rows, audience));
    findings.extend(lacking.overflow().map(|problem| Finding::error("[interest]", problem)));
    // What is merely missing is told above, with what to do about it.
    let told = |warning: &&String| warning.starts_with("the audience has no ");
    let warnings = audience.schema.warnings.iter().filter(|warning| !told(warning));
    findings.extend(warnings.map(|warning| Finding::notice("[mailchimp] audience", warning.clone())));
    findings
}

/// Interests of the audience for which the register has no place: members tick them, and nothing comes of it.
pub(super) fn homeless(audience: &Audience, holds: impl Fn(&Key) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (dimension, there) in &audience.schema.dimensions {
        let is_homeless =
            |name: &&String| !holds(&Key::Interest(Interest::new(dimension.as_str(), name.as_str())));
        let mut names: Vec<&String> = there.interests.values().filter(is_homeless).collect();
        names.sort();
        let more = names.len().saturating_sub(NAMED);
        let named: Vec<String> = names.iter().take(NAMED).map(|name| quoted(name)).collect();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let problem = format!(
            "the audience offers {}{more}, for which the register has no place, so that they are left alone: map a column \
             for each, or add the word to the type of the column",
            named.join(", ")
        );
        let key = format!("[registrations.interests] columns, dimension {:?}", dimension.as_str());
        findings.extend((!names.is_empty()).then(|| Finding::notice(key, problem)));
    }
    findings
}

/// Names that Mailchimp would refuse as tags; no audience is needed to see it.
pub(super) fn tags(mapped: &Mapped<'_>, rows: Option<&Rows>) -> Vec<Finding> {
    let is_long = |tag: &str| tag.chars().count() > MAX_TAG;
    let mut findings = Vec::new();
    for group in mapped.working_groups.iter().filter(|group| is_long(&group.tag)) {
        let problem =
            format!("its tag has more than {MAX_TAG} characters, Mailchimp's limit; set a shorter `tag`");
        findings.push(Finding::error(format!("[working_group] name {:?}", group.name), problem));
    }
    for mapping in mapped.interests {
        let InterestTarget::TagPrefix(prefix) = &mapping.target else { continue };
        let ruled = mapped.working_groups.iter();
        let ruled = ruled.flat_map(|group| group.any.iter().chain(&group.all).chain(&group.none));
        let used = rows.into_iter().flat_map(|rows| rows.interests.keys());
        let mut long: Vec<&Interest> = used
            .chain(ruled)
            .filter(|interest| {
                interest.dimension == mapping.dimension && is_long(&format!("{prefix}{}", interest.name))
            })
            .collect();
        long.sort();
        long.dedup();
        findings.extend(long.into_iter().map(|interest| {
            let problem = format!(
                "the tag {:?} has more than {MAX_TAG} characters, Mailchimp's limit; shorten the interest",
                format!("{prefix}{}", interest.name)
            );
            Finding::error(format!("[interest] tag_prefix {prefix:?}"), problem)
        }));
    }
    findings
}

/// Whether the webhook is there that the configuration asks for, and does what it should.
pub(super) fn webhook(place: &WebhookPlace, audience: &Audience, secret: SigningSecret) -> Vec<Finding> {
    let steps = place.steps(&audience.webhooks, secret);
    let outdated = steps.iter().filter(|step| matches!(step, WebhookStep::Remove { .. })).count();
    let shown = &place.shown;
    let mut findings: Vec<Finding> = steps
        .iter()
        .filter_map(|step| match step {
            WebhookStep::Create => Some(format!(
                "no webhook of the audience calls {shown}; rosterd provision creates it while rosterd run listens"
            )),
            WebhookStep::Mend { .. } => Some(format!(
                "the webhook {shown} does not call for everything that members and staff do, or calls for what programs \
                 do; rosterd provision mends it"
            )),
            WebhookStep::Replace { .. } => Some(format!(
                "the webhook {shown} signs with a secret that is not known here, so that anybody who learns its path can \
                 call; rosterd provision replaces it"
            )),
            WebhookStep::Remove { .. } => None,
        })
        .map(|problem| Finding::notice("[web] public_url", problem))
        .collect();
    if outdated > 0 {
        let problem = format!(
            "{} with another secret: {shown}; rosterd provision removes what is outdated",
            counted(outdated, "webhook")
        );
        findings.push(Finding::notice("[web] webhook_path_secret", problem));
    }
    findings
}

fn merge_fields(mapped: &Mapped<'_>, lacking: &Lacking, audience: &Audience) -> Vec<Finding> {
    let is_mapped =
        |tag: &&String| mapped.merge_fields.iter().any(|field| field.tag.as_str().eq_ignore_ascii_case(tag));
    let free: Vec<&str> =
        audience.offer.merge_fields.keys().filter(|tag| !is_mapped(tag)).map(String::as_str).collect();
    let finding = |tag: &str| {
        let meant = did_you_mean(tag, free.iter().copied(), str::to_owned);
        let advice = if tag.len() > MAX_MERGE_TAG {
            format!(
                "{}Mailchimp cuts new tags at {MAX_MERGE_TAG} characters, choose a shorter one",
                semicolon(&meant)
            )
        } else {
            format!("{}{PROVISION}", semicolon(&meant))
        };
        let problem = format!("the audience has no such merge field{meant}{advice}");
        Finding::error(format!("[merge_field] tag {tag:?}"), problem)
    };
    lacking.merge_fields.iter().map(|field| finding(field.tag.as_str())).collect()
}

/// A question ends with its own mark; a statement needs one before what follows.
fn semicolon(meant: &str) -> &'static str {
    if meant.is_empty() { "; " } else { " " }
}

fn categories(lacking: &Lacking, audience: &Audience) -> Vec<Finding> {
    let titles: Vec<&str> =
        audience.offer.categories.iter().map(|category| category.title.as_str()).collect();
    let missing = lacking.categories.iter().filter(|category| category.id.is_none());
    missing
        .map(|category| {
            let meant = did_you_mean(&category.title, titles.iter().copied(), quoted);
            let advice = format!("{}{PROVISION}", semicolon(&meant));
            let problem = format!("the audience has no such interest category{meant}{advice}");
            Finding::error(format!("[interest] category {:?}", category.title), problem)
        })
        .collect()
}

fn misfits(mapped: &Mapped<'_>, rows: &Rows) -> Vec<Finding> {
    let mut findings = Vec::new();
    for field in mapped.merge_fields {
        let Some(misfits) = rows.misfits.get(&field.tag) else { continue };
        let Some(first) = misfits.first.as_ref().filter(|_| misfits.unfit > 0) else { continue };
        let key = format!("[merge_field] tag {:?}", field.tag.as_str());
        let (held, unfit, filled) = (misfits.held(), misfits.unfit, misfits.filled);
        let column = match &field.source {
            FieldSource::Column(column) => column,
            FieldSource::Constant(text) => {
                let problem = format!("the audience's field holds {held}, and {text:?} does not fit");
                findings.push(Finding::error(key, format!("{problem}; map another field or value")));
                continue;
            }
        };
        let problem = format!(
            "the audience's field holds {held}, and {unfit} of {filled} values in column {column:?} do not fit (the first \
             in row {first})"
        );
        findings.push(if unfit == filled {
            Finding::error(key, format!("{problem}; map another field or column"))
        } else {
            Finding::notice(key, format!("{problem}: Mailchimp would refuse them"))
        });
    }
    findings
}

/// Interests that rows name and an existing category lacks.
fn interests(lacking: &Lacking, rows: &Rows, audience: &Audience) -> Vec<Finding> {
    let mut findings = Vec::new();
    let used = |dimension: &Dimension, name: &str| {
        rows.interests.get(&Interest { dimension: dimension.clone(), name: name.to_owned() }).copied()
    };
    for category in lacking.categories.iter().filter(|category| category.id.is_some()) {
        let key = format!("[interest] category {:?}", category.title);
        let there = audience.schema.dimensions.get(&category.dimension);
        let there: Vec<&str> =
            there.into_iter().flat_map(|there| there.interests.values()).map(String::as_str).collect();
        let named: Vec<(&String, u64)> = category
            .interests
            .iter()
            .filter_map(|name| Some((name, used(&category.dimension, name)?)))
            .collect();
        for (name, count) in named.iter().take(NAMED) {
            let meant = did_you_mean(name, there.iter().copied(), quoted);
            let advice = format!("{}{PROVISION}", semicolon(&meant));
            let rows = counted(*count, "row");
            let problem = format!("the audience lacks {name:?}, found in {rows}{meant}{advice}");
            findings.push(Finding::notice(key.clone(), problem));
        }
        if named.len() > NAMED {
            let problem = format!("and {} more interests; rosterd provision lists them", named.len() - NAMED);
            findings.push(Finding::notice(key, problem));
        }
    }
    for twin in &lacking.twins {
        let problem = format!(
            "{:?} and {:?} are one name to Mailchimp and two here: write {:?} everywhere",
            twin.named.name, twin.spelled, twin.spelled
        );
        findings.push(Finding::notice(
            format!("[interest] dimension {:?}", twin.named.dimension.as_str()),
            problem,
        ));
    }
    findings
}

/// A rule that names an interest which neither side knows can never hold.
fn groups(mapped: &Mapped<'_>, rows: Option<&Rows>, audience: &Audience) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in mapped.working_groups {
        for interest in group.any.iter().chain(&group.all).chain(&group.none) {
            let there = audience.schema.dimensions.get(&interest.dimension);
            let offered = || there.into_iter().flat_map(|there| there.interests.values());
            let used = rows
                .into_iter()
                .flat_map(|rows| rows.interests.keys())
                .filter(|used| used.dimension == interest.dimension);
            let mut known: Vec<&String> = used.map(|used| &used.name).chain(offered()).collect();
            if known.contains(&&interest.name) {
                continue;
            }
            known.sort();
            let dimension = &interest.dimension;
            let meant = did_you_mean(&interest.name, known.into_iter().map(String::as_str), |name| {
                quoted(&format!("{dimension}:{name}"))
            });
            let is_tag = mapped.interests.iter().any(|mapping| {
                mapping.dimension == *dimension && matches!(mapping.target, InterestTarget::TagPrefix(_))
            });
            let key = format!("[working_group] name {:?}", group.name);
            let rule = quoted(&interest.to_string());
            findings.push(if rows.is_none() {
                let problem = "the audience does not offer it, and the register could not be asked";
                Finding::notice(key, format!("{rule}: {problem}{meant}"))
            } else if is_tag {
                Finding::notice(key, format!("no row of the register names {rule}{meant}"))
            } else {
                let advice = format!("{}{PROVISION}", semicolon(&meant));
                Finding::error(key, format!("neither side knows {rule}{meant}{advice}"))
            });
        }
    }
    findings
}

fn quoted(name: &str) -> String {
    format!("{name:?}")
}
