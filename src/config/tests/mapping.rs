//! What may be mapped, and the working groups that speak of it.

use super::*;

#[test]
fn merge_fields_name_each_column_and_tag_once_and_neither_address_nor_consent() {
    let field =
        |column: &str, tag: &str| format!("[[merge_field]]\ncolumn = \"{column}\"\ntag = \"{tag}\"\n");
    check(
        &field("email", "MAIL"),
        &["[[merge_field]] column: the address travels by itself and is no merge field"],
    );
    check(
        &field("mail", "EMAIL"),
        &["[[merge_field]] tag: the address travels by itself and is no merge field"],
    );
    check(
        &field("subscription", "SUB"),
        &["[[merge_field]] column: `subscription` is kept by the consent rule and is no merge field"],
    );
    check(
        &field("a", "F-NAME"),
        &["[[merge_field]] tag: a merge tag is 1 to 50 letters, digits or underscores, not \"F-NAME\""],
    );
    check(
        &format!("{}{}", field("a", "FNAME"), field("b", "fname")),
        &["[[merge_field]] tag: `FNAME` is mapped twice"],
    );
    check(
        &format!("{}{}", field("a", "ONE"), field("A", "TWO")),
        &["[[merge_field]] column: `A` is mapped twice"],
    );
    check(
        &format!("{}direction = \"up\"", field("a", "ONE")),
        &["[[merge_field]] direction: \"up\" is none of both, to_mailchimp, to_local"],
    );
}

#[test]
fn a_merge_field_has_a_column_or_is_always_the_same() {
    let field = |lines: &str| format!("[[merge_field]]\ntag = \"SOURCE\"\n{lines}\n");
    check(&field(""), &["[[merge_field]] column: give exactly one of column, value"]);
    check(
        &field("column = \"a\"\nvalue = \"b\""),
        &["[[merge_field]] value: give exactly one of column, value"],
    );
    check(&field("value = \" \""), &["[[merge_field]] value: must not be empty"]);
    for direction in ["both", "to_local"] {
        check(
            &field(&format!("value = \"Website\"\ndirection = \"{direction}\"")),
            &["[[merge_field]] direction: a value that is always the same travels to_mailchimp and not back"],
        );
    }
    // Not a column of this name.
    let config = parse(&format!("{LEAST}{}", field("value = \"email\""))).unwrap();
    let expected = MergeFieldConfig {
        source: FieldSource::Constant("email".to_owned()),
        tag: MergeTag::parse("SOURCE").unwrap(),
        direction: Direction::ToMailchimp,
    };
    assert_eq!(config.merge_fields, [expected]);
}

#[test]
fn a_mapped_address_column_is_no_merge_field_either() {
    let text = LEAST.replace("[mailchimp]", "columns.email = \"mail\"\n[mailchimp]");
    let text = format!("{text}[[merge_field]]\ncolumn = \"Mail\"\ntag = \"MAIL\"");
    assert_eq!(
        problems(&text),
        ["[[merge_field]] column: the address travels by itself and is no merge field"]
    );
    let text = LEAST.replace("[mailchimp]", "columns.unsubscribed_at = \"left\"\n[mailchimp]");
    let text = format!("{text}[[merge_field]]\ncolumn = \"Left\"\ntag = \"LEFT\"");
    assert_eq!(
        problems(&text),
        ["[[merge_field]] column: `Left` is kept by the consent rule and is no merge field"]
    );
}

#[test]
fn dimensions_stand_in_one_place_and_are_told_apart() {
    let interest = |lines: &str| format!("[[interest]]\n{lines}\n");
    check(
        &interest("dimension = \"topic\""),
        &["[[interest]] category: give exactly one of category, tag_prefix"],
    );
    check(
        &interest("dimension = \"topic\"\ncategory = \"T\"\ntag_prefix = \"t: \""),
        &["[[interest]] tag_prefix: give exactly one of category, tag_prefix"],
    );
    check(
        &interest("dimension = \"a:b\"\ncategory = \"T\""),
        &[
            "[[interest]] dimension: a dimension's name must not hold a colon, which parts it from the interest in rules",
        ],
    );
    let twice = format!("{0}{0}", interest("dimension = \"topic\"\ncategory = \"T\""));
    check(
        &twice,
        &["[[interest]] dimension: `topic` is mapped twice", "[[interest]] category: `T` is mapped twice"],
    );
    let overlap =
        ["dimension = \"a\"\ntag_prefix = \"in \"", "dimension = \"b\"\ntag_prefix = \"In Africa \""];
    check(
        &overlap.map(interest).concat(),
        &["[[interest]] tag_prefix: `In Africa ` and the tags of dimension `a` cannot be told apart"],
    );
}

#[test]
fn working_groups_speak_of_what_is_mapped_and_keep_their_tags_apart() {
    let mapped = "[[interest]]\ndimension = \"topic\"\ntag_prefix = \"topic: \"\n";
    let group = |lines: &str| format!("{mapped}[[working_group]]\n{lines}\n");
    let cases: [(&str, &[&str]); 9] = [
        ("name = \"A\"\nany = [\"topic:Roads\"]", &[]),
        (
            "name = \"A\"\nall = [\"region:Africa\"]",
            &[
                "[[working_group]] all: dimension `region` of \"region:Africa\" is not mapped; add it as [[interest]]",
            ],
        ),
        (
            "name = \"A\"\nany = [\"Roads\"]",
            &[
                "[[working_group]] any: `Roads` is no interest; write dimension:name, as in \"topic:Decentralization\"",
            ],
        ),
        (
            "name = \"A\"\nfields = { COUNTRY = [\"Kenya\"] }",
            &["[working_group.fields] COUNTRY: merge tag COUNTRY is not mapped; add it as [[merge_field]]"],
        ),
        (
            "name = \"A\"\nnone = [\"topic:Roads\"]",
            &[
                "[[working_group]] name: a group needs at least one of any, all, membership, fields: else everybody would \
             be in it",
            ],
        ),
        (
            "name = \"A\"\nall = [\"topic:Roads\"]\nnone = [\"topic:Roads\"]",
            &[
                "[[working_group]] none: `topic:Roads` is wanted and ruled out at once: nobody can be in this group",
            ],
        ),
        (
            "name = \"A\"\ntag = \"Topic: A\"\nmembership = [\"member\"]",
            &[
                "[[working_group]] tag: the tag `Topic: A` begins like those of dimension `topic` and would be read as an \
             interest; set another",
            ],
        ),
        (
            "name = \"A\"\nmembership = [\"member\"]\n[[working_group]]\nname = \"a\"\nmembership = [\"member\"]",
            &["[[working_group]] name: `a` is mapped twice"],
        ),
        (
            "name = \"A\"\nmembership = [\"member\"]\n[[working_group]]\nname = \"B\"\ntag = \"wg: a\"\n\
             membership = [\"member\"]",
            &["[[working_group]] tag: the tag `wg: a` is that of another working group; set another"],
        ),
    ];
    for (lines, expected) in cases {
        check(&group(lines), expected);
    }
}
