//! Working groups: who is in one follows from what members say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Interest;
use crate::reconcile::policy::{Policy, WorkingGroup};
use crate::reconcile::values::{Values, field, has_interest};

/// The groups that somebody with these values belongs to, each with the words that brought them in.
pub fn groups_of<'a>(
    policy: &'a Policy,
    values: &Values,
    membership: Option<&str>,
) -> BTreeMap<&'a str, String> {
    let why =
        |group: &'a WorkingGroup| belongs(group, values, membership).map(|why| (group.name.as_str(), why));
    policy.working_groups.iter().filter_map(why).collect()
}

/// The tags that show `groups` in Mailchimp.
pub(super) fn tags_of(policy: &Policy, groups: &BTreeMap<&str, String>) -> BTreeSet<String> {
    let is_in = |group: &&WorkingGroup| groups.contains_key(group.name.as_str());
    policy.working_groups.iter().filter(is_in).map(|group| group.tag.clone()).collect()
}

/// Why somebody belongs to `group`; `None` where they do not.
fn belongs(group: &WorkingGroup, values: &Values, membership: Option<&str>) -> Option<String> {
    let has = |interest: &&Interest| has_interest(values, interest);
    let any = group.any.iter().find(has);
    let all = group.all.iter().all(|interest| has_interest(values, interest));
    if (!group.any.is_empty() && any.is_none())
        || !all
        || group.none.iter().any(|interest| has_interest(values, interest))
    {
        return None;
    }
    let same = |word: &String, text: &str| word.trim().eq_ignore_ascii_case(text.trim());
    let membership = membership.unwrap_or_default();
    if !group.membership.is_empty() && !group.membership.iter().any(|word| same(word, membership)) {
        return None;
    }
    let fields =
        |(tag, words): (_, &BTreeSet<String>)| words.iter().any(|word| same(word, field(values, tag)));
    if !group.fields.iter().all(fields) {
        return None;
    }
    let mut why: Vec<String> = any.into_iter().chain(&group.all).map(ToString::to_string).collect();
    if !group.membership.is_empty() {
        why.push(format!("membership {membership}"));
    }
    why.extend(group.fields.keys().map(|tag| format!("{tag} {}", field(values, tag))));
    Some(if why.is_empty() { "everybody".to_owned() } else { why.join(", ") })
}

#[cfg(test)]
mod tests {
    use crate::model::{Key, MergeTag, Value};

    use super::*;

    fn values() -> Values {
        let tag = MergeTag::parse("COUNTRY").unwrap();
        let interest = |text| (Key::Interest(Interest::parse(text).unwrap()), Value::Flag(true));
        Values::from([
            interest("topic:Finance"),
            interest("topic:Health"),
            (Key::Choice(crate::model::Dimension::new("region")), Value::text("Africa")),
            (Key::Field(tag), Value::text("Kenya")),
        ])
    }

    fn check(group: WorkingGroup, membership: Option<&str>, expected: Option<&str>) {
        assert_eq!(belongs(&group, &values(), membership).as_deref(), expected, "{group:?}");
    }

    fn set(interests: &[&str]) -> BTreeSet<Interest> {
        interests.iter().map(|text| Interest::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_rule_is_all_of_its_conditions() {
        let group = WorkingGroup::default;
        check(
            WorkingGroup { any: set(&["topic:Water", "topic:Finance"]), ..group() },
            None,
            Some("topic:Finance"),
        );
        check(WorkingGroup { any: set(&["topic:Water"]), ..group() }, None, None);
        check(
            WorkingGroup { all: set(&["topic:Finance", "region:Africa"]), ..group() },
            None,
            Some("region:Africa, topic:Finance"),
        );
        check(WorkingGroup { all: set(&["topic:Finance", "region:Asia"]), ..group() }, None, None);
        check(WorkingGroup { none: set(&["topic:Health"]), ..group() }, None, None);
        check(
            WorkingGroup { membership: ["member".to_owned()].into(), ..group() },
            Some("Member"),
            Some("membership Member"),
        );
        check(WorkingGroup { membership: ["member".to_owned()].into(), ..group() }, None, None);
        let country =
            |name: &str| [(MergeTag::parse("COUNTRY").unwrap(), BTreeSet::from([name.to_owned()]))].into();
        check(WorkingGroup { fields: country("kenya"), ..group() }, None, Some("COUNTRY Kenya"));
        check(WorkingGroup { fields: country("Ghana"), ..group() }, None, None);
        check(group(), None, Some("everybody"));
    }
}
