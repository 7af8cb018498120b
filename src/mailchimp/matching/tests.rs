//! Renames are followed, what vanished is switched off, and every oddity is said.

use super::*;
use crate::mailchimp::wire::lists::FieldOptions;
use crate::model::MergeTag;

/// Merge fields of the audience, the number and tag that are found, the warning.
type FieldCase<'a> = (&'a [MergeFieldRow], Option<(i64, &'a str)>, &'a str);

/// Categories of the audience, what is remembered, the id that is found, the warning.
type CategoryCase<'a> = (&'a [CategoryRow], Option<&'a AudienceSchema>, Option<&'a str>, &'a str);

/// Interests of the audience, the local names that they get, the warnings.
type InterestCase<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a [&'a str]);

fn tag(text: &str) -> MergeTag {
    MergeTag::parse(text).unwrap()
}

fn field_row(merge_id: i64, tag: &str, kind: &str) -> MergeFieldRow {
    MergeFieldRow { merge_id, tag: tag.to_owned(), kind: kind.to_owned(), options: FieldOptions::default() }
}

fn category_row(id: &str, title: &str, kind: &str) -> CategoryRow {
    CategoryRow { id: id.to_owned(), title: title.to_owned(), kind: kind.to_owned() }
}

fn interest_row((id, name): &(&str, &str)) -> InterestRow {
    InterestRow { id: (*id).to_owned(), name: (*name).to_owned() }
}

fn topics() -> AudienceMapping {
    AudienceMapping {
        dimensions: [(Dimension::new("topic"), DimensionTarget::Category("Topics".to_owned()))].into(),
        ..AudienceMapping::default()
    }
}

fn knows_topics(category_id: &str, interests: &[(&str, &str)]) -> AudienceSchema {
    let interests = interests.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
    let found =
        DimensionSchema { kind: DimensionKind::Checkboxes, category_id: category_id.to_owned(), interests };
    AudienceSchema { dimensions: [(Dimension::new("topic"), found)].into(), ..AudienceSchema::default() }
}

#[test]
fn merge_fields_are_found_by_their_number_and_then_by_their_tag() {
    let known = AudienceSchema {
        fields: [(tag("FNAME"), field(&field_row(1, "FNAME", "text")))].into(),
        ..AudienceSchema::default()
    };
    let cases: [FieldCase<'_>; 5] = [
        (&[field_row(1, "FNAME", "text")], Some((1, "FNAME")), ""),
        (&[field_row(1, "fname", "text")], Some((1, "fname")), ""),
        (
            &[field_row(9, "FNAME", "text"), field_row(1, "FIRST", "text")],
            Some((1, "FIRST")),
            "the merge field FNAME is called FIRST in Mailchimp now",
        ),
        (
            &[field_row(9, "FNAME", "text")],
            Some((9, "FNAME")),
            "the merge field FNAME was removed and created anew in Mailchimp",
        ),
        (&[], None, "the merge field FNAME is gone from the audience: it is switched off"),
    ];
    let mapping = AudienceMapping { tags: vec![tag("FNAME")], ..AudienceMapping::default() };
    for (rows, expected, warning) in cases {
        let mut schema = AudienceSchema::default();
        match_fields(&mut schema, &mapping, Some(&known), rows);
        let found = schema.fields.get(&tag("FNAME")).map(|field| (field.merge_id, field.wire_tag.as_str()));
        assert_eq!((found, schema.warnings.join("")), (expected, warning.to_owned()));
    }
}

#[test]
fn a_merge_field_that_never_was_is_to_be_provisioned() {
    let mapping = AudienceMapping { tags: vec![tag("ORG")], ..AudienceMapping::default() };
    let mut schema = AudienceSchema::default();
    match_fields(&mut schema, &mapping, None, &[field_row(1, "FNAME", "text")]);
    assert!(schema.fields.is_empty());
    assert_eq!(schema.warnings, ["the audience has no merge field ORG: create it with `rosterd provision`"]);
}

#[test]
fn every_kind_of_merge_field_is_known() {
    let kinds = [
        ("text", FieldKind::Text),
        ("number", FieldKind::Number),
        ("address", FieldKind::Address),
        ("phone", FieldKind::Phone),
        ("date", FieldKind::Date),
        ("birthday", FieldKind::Birthday),
        ("zip", FieldKind::Zip),
        ("url", FieldKind::Url),
        ("imageurl", FieldKind::ImageUrl),
        ("radio", FieldKind::Radio),
        ("dropdown", FieldKind::Dropdown),
        ("hologram", FieldKind::Text),
    ];
    for (word, expected) in kinds {
        assert_eq!(field(&field_row(1, "X", word)).kind, expected, "{word}");
    }
}

#[test]
fn categories_are_found_by_their_title_and_then_by_their_id() {
    let known = knows_topics("c1", &[]);
    let cases: [CategoryCase<'_>; 5] = [
        (&[category_row("c1", " TOPICS ", "checkboxes")], None, Some("c1"), ""),
        (
            &[category_row("c1", "Themes", "checkboxes")],
            Some(&known),
            Some("c1"),
            "the category Topics of topic is called Themes in Mailchimp now",
        ),
        (
            &[category_row("c1", "Themes", "checkboxes"), category_row("c2", "Topics", "radio")],
            Some(&known),
            Some("c2"),
            "",
        ),
        (&[], Some(&known), None, "the category Topics is gone from the audience: topic is switched off"),
        (&[], None, None, "the audience has no category Topics: create it with `rosterd provision`"),
    ];
    for (rows, known, expected, warning) in cases {
        let mut schema = AudienceSchema::default();
        let found = match_categories(&mut schema, &topics(), known, rows);
        let found = found.first().map(|category| category.id.as_str());
        assert_eq!((found, schema.warnings.join("")), (expected, warning.to_owned()));
    }
}

#[test]
fn the_kind_of_a_category_follows_its_type() {
    for (word, expected) in [
        ("checkboxes", DimensionKind::Checkboxes),
        ("hidden", DimensionKind::Checkboxes),
        ("radio", DimensionKind::Choice),
        ("dropdown", DimensionKind::Choice),
    ] {
        let rows = [category_row("c1", "Topics", word)];
        let found = match_categories(&mut AudienceSchema::default(), &topics(), None, &rows);
        assert_eq!(found[0].kind, expected, "{word}");
    }
}

#[test]
fn a_dimension_of_tags_needs_nothing_of_the_audience() {
    let target = DimensionTarget::TagPrefix("topic: ".to_owned());
    let mapping = AudienceMapping {
        dimensions: [(Dimension::new("topic"), target)].into(),
        ..AudienceMapping::default()
    };
    let mut schema = AudienceSchema::default();
    assert!(match_categories(&mut schema, &mapping, None, &[]).is_empty());
    let kind = DimensionKind::Tags { prefix: "topic: ".to_owned() };
    assert_eq!(schema.dimensions[&Dimension::new("topic")], empty_dimension(kind, ""));
}

#[test]
fn interests_keep_their_local_names() {
    let known = [("t1", "Finance"), ("t2", "Health")];
    let cases: [InterestCase<'_>; 6] = [
        (&[("t1", "Finance"), ("t2", "Health")], &known, &[]),
        (
            &[("t1", "Public Finance"), ("t2", "health "), ("t3", "Water")],
            &[("t1", "Finance"), ("t2", "Health"), ("t3", "Water")],
            &["the interest topic:Finance is called Public Finance in Mailchimp now"],
        ),
        (
            &[("t2", "Health")],
            &[("t2", "Health")],
            &["the interest topic:Finance is gone from the audience: it is switched off"],
        ),
        (
            &[("t9", "finance"), ("t2", "Health")],
            &[("t2", "Health"), ("t9", "finance")],
            &["the interest topic:Finance was removed and created anew in Mailchimp"],
        ),
        (
            &[("t0", "Finance"), ("t1", "Money"), ("t2", "Health")],
            &known,
            &[
                "the interest topic:Finance is called Money in Mailchimp now",
                "the interest topic:Finance is left out: another one of the audience has this name here",
            ],
        ),
        // An id that came twice took two names, and kept the second for itself and the first from another.
        (
            &[("t1", "Finance"), ("t2", "Health"), ("t3", "Water"), ("t3", "Energy"), ("t4", "Energy")],
            &[("t1", "Finance"), ("t2", "Health"), ("t3", "Water"), ("t4", "Energy")],
            &[],
        ),
    ];
    for (rows, expected, warnings) in cases {
        let mut schema = AudienceSchema::default();
        let category = FoundCategory {
            dimension: Dimension::new("topic"),
            id: "c1".to_owned(),
            kind: DimensionKind::Checkboxes,
        };
        let rows: Vec<_> = rows.iter().map(interest_row).collect();
        match_interests(&mut schema, category, Some(&knows_topics("c1", &known)), &rows);
        let found = &schema.dimensions[&Dimension::new("topic")].interests;
        assert_eq!(*found, knows_topics("c1", expected).dimensions[&Dimension::new("topic")].interests);
        assert_eq!(schema.warnings, warnings);
    }
}
