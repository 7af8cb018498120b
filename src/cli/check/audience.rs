//! What `check` finds in the audience: what the mapping names and it lacks.

use std::collections::BTreeSet;

use crate::cli::check::Finding;
use crate::cli::check::sides::chain;
use crate::cli::wiring::Settings;
use crate::config::InterestTarget;
use crate::mailchimp::AudienceError;
use crate::mailchimp::ReadAudience;
use crate::mailchimp::provision::{InspectAudience, Offer};
use crate::mailchimp::schema::AudienceSchema;
use crate::model::{Dimension, Interest};
use crate::reconcile::policy::NewLocal;

/// Mailchimp allows so many interests over all categories of an audience.
pub(in crate::cli) const MAX_INTERESTS: usize = 60;

/// How alike two names must be for one to be proposed for the other.
const ALIKE: f64 = 0.7;

/// Looks at the audience; `used` are the interests that rows of the register name.
pub(super) async fn findings(settings: &Settings, used: &BTreeSet<Interest>) -> Vec<Finding> {
    let (client, hasty) =
        match settings.audience().and_then(|client| Ok((client, settings.hasty_audience()?))) {
            Ok(clients) => clients,
            Err(fault) => return vec![Finding::error("[mailchimp]", format!("{:#}", fault.error()))],
        };
    if let Err(error) = hasty.ping().await {
        return vec![unreachable(&error)];
    }
    let (offer, schema) = match (client.offer().await, client.schema(None).await) {
        (Ok(offer), Ok(schema)) => (offer, schema),
        (Err(error), _) | (_, Err(error)) => return vec![unreachable(&error)],
    };
    let mut findings = merge_fields(settings, &offer);
    findings.extend(categories(settings, &offer, used));
    findings.extend(groups(settings, &offer, used));
    findings.extend(settings_of(settings, &schema));
    findings
}

fn unreachable(error: &AudienceError) -> Finding {
    match error {
        AudienceError::Fatal { .. } => Finding::error("[mailchimp]", chain(error)),
        _ => Finding::unreached("[mailchimp]", chain(error)),
    }
}

fn merge_fields(settings: &Settings, offer: &Offer) -> Vec<Finding> {
    let lacks = |tag: &str| !offer.merge_fields.keys().any(|there| there.eq_ignore_ascii_case(tag));
    let mut findings = Vec::new();
    for field in settings.config.merge_fields.iter().filter(|field| lacks(field.tag.as_str())) {
        let meant = nearest(field.tag.as_str(), offer.merge_fields.keys());
        let problem =
            format!("the audience has no merge field {}{meant}; rosterd provision creates it", field.tag);
        findings.push(Finding::error("[[merge_field]] tag", problem));
    }
    findings
}

fn categories(settings: &Settings, offer: &Offer, used: &BTreeSet<Interest>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing = 0;
    for interest in &settings.config.interests {
        let InterestTarget::Category(title) = &interest.target else { continue };
        let Some(there) = offer.categories.iter().find(|category| same(&category.title, title)) else {
            let meant = nearest(title, offer.categories.iter().map(|category| &category.title));
            let problem = format!(
                "the audience has no interest category {title:?}{meant}; rosterd provision creates it"
            );
            findings.push(Finding::error("[[interest]] category", problem));
            missing += names_of(used, &interest.dimension).count();
            continue;
        };
        for name in names_of(used, &interest.dimension).filter(|name| !there.interests.contains(*name)) {
            let meant = nearest(name, there.interests.iter());
            let problem = format!(
                "the register names {name:?}, which {title:?} lacks{meant}; rosterd provision creates it"
            );
            findings.push(Finding::notice("[[interest]] category", problem));
            missing += 1;
        }
    }
    let there: usize = offer.categories.iter().map(|category| category.interests.len()).sum();
    if there + missing > MAX_INTERESTS {
        let problem = format!(
            "the audience has {there} interests and {missing} more are named; Mailchimp allows {MAX_INTERESTS} over all \
             categories: map a dimension to tags with tag_prefix"
        );
        findings.push(Finding::error("[[interest]]", problem));
    }
    findings
}

/// A rule that names an interest which neither side knows can never hold.
fn groups(settings: &Settings, offer: &Offer, used: &BTreeSet<Interest>) -> Vec<Finding> {
    let known = |interest: &Interest| {
        used.contains(interest)
            || settings.config.interests.iter().filter(|mapped| mapped.dimension == interest.dimension).any(
                |mapped| match &mapped.target {
                    InterestTarget::TagPrefix(_) => true,
                    InterestTarget::Category(title) => offer.categories.iter().any(|category| {
                        same(&category.title, title) && category.interests.contains(&interest.name)
                    }),
                },
            )
    };
    let mut findings = Vec::new();
    for group in &settings.config.working_groups {
        for interest in
            group.any.iter().chain(&group.all).chain(&group.none).filter(|interest| !known(interest))
        {
            let names: Vec<String> =
                offer.categories.iter().flat_map(|category| category.interests.clone()).collect();
            let meant = nearest(&interest.name, names.iter());
            let problem = format!("{:?} names {interest}, which neither side knows{meant}", group.name);
            findings.push(Finding::error("[[working_group]]", problem));
        }
    }
    findings
}

fn settings_of(settings: &Settings, schema: &AudienceSchema) -> Vec<Finding> {
    let mut findings = Vec::new();
    if schema.double_optin && settings.config.sync.new_local == NewLocal::Subscribe {
        let problem = "the audience's own forms ask for confirmation, new_local = \"subscribe\" does not: was consent \
                       confirmed on the website?";
        findings.push(Finding::notice("[sync] new_local", problem));
    }
    if schema.subscribe_url.is_none() {
        let problem = "the audience tells no sign-up form: preference-center links cannot be made";
        findings.push(Finding::notice("[mailchimp] audience", problem));
    }
    findings
}

fn names_of<'a>(used: &'a BTreeSet<Interest>, dimension: &'a Dimension) -> impl Iterator<Item = &'a str> {
    used.iter()
        .filter(move |interest| interest.dimension == *dimension)
        .map(|interest| interest.name.as_str())
}

/// Whether two names are one to Mailchimp.
pub(in crate::cli) fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// `; did you mean X?` where something alike is there.
fn nearest<'a>(name: &str, there: impl Iterator<Item = &'a String>) -> String {
    let alike = |other: &String| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let best = there.map(|other| (alike(other), other)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, other)) if likeness >= ALIKE => format!("; did you mean {other}?"),
        Some(_) | None => String::new(),
    }
}
