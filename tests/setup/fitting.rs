//! `rosterd check`: what the configuration, the register and the audience make of each other.

use rosterd::mailchimp::provision::{CategoryShape, NewMergeField, ProvisionAudience};
use rosterd::model::{FieldKind, MergeTag};
use rosterd::sandbox::SandboxOptions;

use crate::stage::Stage;

const TOPICS: &str = "[[interest]]\ndimension = \"topic\"\ncategory = \"Topics\"\n";

/// One row with these interests of the dimension `topic`.
fn row(stage: &Stage, id: u32, topics: &[&str]) {
    let email = format!("person{id}@alliance.test");
    let mut statements = format!("INSERT INTO registrations (id, email) VALUES ({id}, '{email}');");
    for topic in topics {
        statements += &format!("INSERT INTO registration_interests VALUES ({id}, 'topic', '{topic}');");
    }
    stage.register(&statements);
}

/// An audience with a category of these topics.
async fn with_topics(names: &[&str]) -> Stage {
    let stage = Stage::new().await;
    let client = stage.client();
    let category = client.create_category("Topics", CategoryShape::Checkboxes).await.unwrap();
    for name in names {
        client.create_interest(&category, name).await.unwrap();
    }
    stage.configure(TOPICS);
    stage
}

async fn field(stage: &Stage, tag: &str, kind: FieldKind) {
    let choices = if kind == FieldKind::Dropdown { vec!["Gold".to_owned()] } else { Vec::new() };
    let new = NewMergeField { tag: MergeTag::parse(tag).unwrap(), name: tag.to_owned(), kind, choices };
    stage.client().create_merge_field(&new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_audience_lacks_is_named_with_what_comes_near() {
    let stage = with_topics(&["Finance"]).await;
    stage.configure(
        "[[merge_field]]\ncolumn = \"first_name\"\ntag = \"FNAMW\"\n[[merge_field]]\ncolumn = \"last_name\"\n\
         tag = \"SURNAME_OF_PERSON\"\n[[merge_field]]\ncolumn = \"country\"\ntag = \"COUNTRY\"\n\
         [[interest]]\ndimension = \"topic\"\ncategory = \"Topicz\"\n[[interest]]\ndimension = \"region\"\n\
         category = \"Where you work\"\n",
    );
    stage.check(
        2,
        &[
            "error   [merge_field] tag \"FNAMW\": the audience has no such merge field; did you mean FNAME? rosterd \
             provision creates it",
            "error   [merge_field] tag \"SURNAME_OF_PERSON\": the audience has no such merge field; Mailchimp cuts new \
             tags at 10 characters, choose a shorter one",
            "error   [merge_field] tag \"COUNTRY\": the audience has no such merge field; rosterd provision creates it",
            "error   [interest] category \"Topicz\": the audience has no such interest category; did you mean \
             \"Topics\"? rosterd provision creates it",
            "error   [interest] category \"Where you work\": the audience has no such interest category; rosterd \
             provision creates it",
            "5 errors.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interests_that_rows_use_and_the_audience_lacks_are_counted() {
    let stage = with_topics(&["Finance", "Health"]).await;
    row(&stage, 1, &["Finance", "Helth"]);
    row(&stage, 2, &["Helth", "Water", "HEALTH"]);
    stage.check(
        0,
        &[
            "notice  [interest] category \"Topics\": the audience lacks \"Helth\", found in 2 rows; did you mean \
             \"Health\"? rosterd provision creates it",
            "notice  [interest] category \"Topics\": the audience lacks \"Water\", found in 1 row; rosterd provision \
             creates it",
            "notice  [interest] dimension \"topic\": \"HEALTH\" and \"Health\" are one name to Mailchimp and two here: \
             write \"Health\" everywhere",
            "Everything fits, with 3 notices.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interests_that_the_register_has_no_place_for_are_named() {
    let stage = with_topics(&["Finance", "Health", "Water"]).await;
    stage.register("ALTER TABLE registrations ADD finance BOOLEAN");
    let config = std::fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    let flags = "[registrations.interests]\nlayout = \"flags\"\ncolumns = { finance = \"topic:Finance\" }\n";
    stage.write(&format!("{config}{flags}"));
    stage.check(
        0,
        &[
            "notice  [registrations.interests] columns, dimension \"topic\": the audience offers \"Health\", \"Water\", \
             for which the register has no place, so that they are left alone: map a column for each, or add the word to \
             the type of the column",
            "Everything fits, with 1 notice.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_an_interest_that_neither_side_knows_is_wrong() {
    let stage = with_topics(&["Finance"]).await;
    row(&stage, 1, &["Water"]);
    let tags = "[[interest]]\ndimension = \"region\"\ntag_prefix = \"region: \"\n";
    stage.configure(&format!(
        "{TOPICS}{tags}[[working_group]]\nname = \"Money\"\nany = [\"topic:Finanze\", \"topic:Finance\"]\n\
         all = [\"region:Africa\"]\n[[working_group]]\nname = \"Rest\"\nmembership = [\"member\"]\n\
         none = [\"topic:Roads\"]\n"
    ));
    stage.check(
        2,
        &[
            "error   [working_group] name \"Money\": neither side knows \"topic:Finanze\"; did you mean \
             \"topic:Finance\"? rosterd provision creates it",
            "error   [working_group] name \"Rest\": neither side knows \"topic:Roads\"; rosterd provision creates it",
            "notice  [interest] category \"Topics\": the audience lacks \"Water\", found in 1 row; rosterd provision \
             creates it",
            "notice  [working_group] name \"Money\": no row of the register names \"region:Africa\"",
            "2 errors, 2 notices.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_interests_than_mailchimp_allows_are_told_before_any_is_created() {
    let names: Vec<String> = (1..=59).map(|number| format!("Topic {number}")).collect();
    let stage = with_topics(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    row(&stage, 1, &["Finance"]);
    let lacks = |name: &str| {
        format!(
            "notice  [interest] category \"Topics\": the audience lacks {name:?}, found in 1 row; rosterd provision \
             creates it"
        )
    };
    stage.check(0, &[&lacks("Finance"), "Everything fits, with 1 notice."]);
    row(&stage, 2, &["Health"]);
    let too_many = "the audience has 59 interests and 2 more are named; Mailchimp allows 60 over all categories: map a \
                    dimension to tags with tag_prefix instead";
    let error = format!("error   [interest]: {too_many}");
    stage.check(2, &[&error, &lacks("Finance"), &lacks("Health"), "1 error, 2 notices."]);
    let ran = stage.run(&["provision", "--yes"]);
    assert_eq!((ran.code, ran.stderr), (2, format!("rosterd: [interest]: {too_many}\n")));
    assert_eq!(stage.offered().await.last().unwrap().matches(", ").count(), 58, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_longer_than_mailchimp_allows_are_told() {
    let stage = Stage::new().await;
    let long = "x".repeat(96);
    stage.configure(&format!(
        "[[interest]]\ndimension = \"topic\"\ntag_prefix = \"t: \"\n[[working_group]]\nname = \"{long}a\"\n\
         membership = [\"member\"]\n[[working_group]]\nname = \"{long}\"\nmembership = [\"member\"]\n"
    ));
    row(&stage, 1, &[&format!("{long}aa"), &format!("{long}a")]);
    let group = format!(
        "error   [working_group] name \"{long}a\": its tag has more than 100 characters, Mailchimp's limit; set a \
         shorter `tag`"
    );
    let interest = format!(
        "error   [interest] tag_prefix \"t: \": the tag \"t: {long}aa\" has more than 100 characters, Mailchimp's limit; \
         shorten the interest"
    );
    stage.check(2, &[&group, &interest, "2 errors."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_a_merge_field_cannot_hold_are_counted() {
    let stage = Stage::new().await;
    field(&stage, "BORN", FieldKind::Date).await;
    field(&stage, "LEVEL", FieldKind::Dropdown).await;
    field(&stage, "AGE", FieldKind::Number).await;
    stage.configure(
        "[[merge_field]]\ncolumn = \"country\"\ntag = \"BORN\"\n[[merge_field]]\ncolumn = \"organisation\"\n\
         tag = \"LEVEL\"\n[[merge_field]]\ncolumn = \"last_name\"\ntag = \"AGE\"\n",
    );
    stage.register(
        "INSERT INTO registrations (id, email, country, organisation, last_name) VALUES
           (1, 'a@alliance.test', 'Kenya', 'Gold', '7'), (2, 'b@alliance.test', 'Uganda', 'Silver', '8'),
           (3, 'c@alliance.test', NULL, '', '9');",
    );
    stage.check(
        2,
        &[
            "error   [merge_field] tag \"BORN\": the audience's field holds days (2026-01-31), and 2 of 2 values in \
             column \"country\" do not fit (the first in row 1); map another field or column",
            "notice  [merge_field] tag \"LEVEL\": the audience's field holds one of its own choices, and 1 of 2 values in \
             column \"organisation\" do not fit (the first in row 2): Mailchimp would refuse them",
            "1 error, 1 notice.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn double_opt_in_is_worth_a_thought_where_new_registrations_are_subscribed_at_once() {
    let options = SandboxOptions { double_optin: true, ..SandboxOptions::default() };
    let stage = Stage::with_options(options).await;
    let notice = "notice  [sync] new_local: the audience's own forms ask people to confirm, \"subscribe\" does not: make \
                  sure that the website does, or set \"confirm\"";
    stage.check(0, &[notice, "Everything fits, with 1 notice."]);
    stage.configure("[sync]\nnew_local = \"confirm\"\n");
    stage.check(0, &["Everything fits."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_renamed_in_mailchimp_is_followed_and_told_and_not_created_again() {
    let stage = with_topics(&["Finance"]).await;
    field(&stage, "ORG", FieldKind::Text).await;
    stage.configure(&format!("{TOPICS}[[merge_field]]\ncolumn = \"organisation\"\ntag = \"ORG\"\n"));
    row(&stage, 1, &["Finance"]);
    assert_eq!(stage.run(&["sync", "--yes"]).code, 0);
    rename(&stage, "merge-fields", "ORG", "tag", "EMPLOYER").await;
    rename(&stage, "interest-categories", "Topics", "title", "Themes").await;
    let renamed = [
        "notice  [mailchimp] audience: the merge field ORG is called EMPLOYER in Mailchimp now",
        "notice  [mailchimp] audience: the category Topics of topic is called Themes in Mailchimp now",
        "Everything fits, with 2 notices.",
    ];
    stage.check(0, &renamed);
    assert_eq!(stage.run(&["provision", "--yes"]).stdout, "Nothing is missing.\n");
}

/// Renames what is called `old`, as staff do.
async fn rename(stage: &Stage, collection: &str, old: &str, key: &str, new: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (base_url, audience) = (&stage.base_url, stage.sandbox.audience_id());
    let url = format!("{base_url}/lists/{audience}/{collection}");
    let (key_of_account, asked) = (stage.sandbox.api_key(), format!("{url}?count=100"));
    let answer = client.get(asked).basic_auth("staff", Some(&key_of_account)).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let mut rows = answer.as_object().unwrap().values().filter_map(|value| value.as_array()).flatten();
    let row = rows.find(|row| row[key] == old).unwrap();
    let id = row.get("merge_id").unwrap_or(&row["id"]).to_string();
    let body = serde_json::json!({ key: new }).to_string();
    let request =
        client.patch(format!("{url}/{}", id.trim_matches('"'))).basic_auth("staff", Some(&key_of_account));
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
}
