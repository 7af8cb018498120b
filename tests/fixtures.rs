//! The first user's fixtures fit together: register, audience and configuration speak of the same things.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rosterd::config::{Config, InterestTarget};
use rosterd::model::{EmailAddress, SubscriptionStatus};
use rusqlite::Connection;
use serde_json::Value as Json;

/// The tables of the default schema, without what the sample does not fill.
const SCHEMA: &str = "
    CREATE TABLE registrations (id INTEGER PRIMARY KEY, email TEXT NOT NULL, membership TEXT NOT NULL,
      subscription TEXT NOT NULL, subscription_changed_at TEXT, first_name TEXT, last_name TEXT, organisation TEXT,
      country TEXT, signup_ip TEXT, signup_at TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
    CREATE TABLE registration_interests (registration_id INTEGER NOT NULL REFERENCES registrations(id),
      dimension TEXT NOT NULL, interest TEXT NOT NULL, PRIMARY KEY (registration_id, dimension, interest));";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lpsa").join(name)
}

fn register() -> Connection {
    let register = Connection::open_in_memory().unwrap();
    register.execute_batch(SCHEMA).unwrap();
    register.execute_batch(&fs::read_to_string(fixture("registrations.sql")).unwrap()).unwrap();
    register
}

fn column(register: &Connection, query: &str) -> Vec<String> {
    let mut statement = register.prepare(query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn audience() -> Json {
    serde_json::from_str(&fs::read_to_string(fixture("audience.json")).unwrap()).unwrap()
}

fn configuration() -> Config {
    let environment = BTreeMap::from([("MAILCHIMP_API_KEY".to_owned(), "0123-us6".to_owned())]);
    Config::load(&fixture("rosterd.toml"), &environment).unwrap()
}

fn texts(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// `Topics/Decentralization` for every interest of the audience.
fn offered(audience: &Json) -> BTreeSet<String> {
    let categories = audience["interest_categories"].as_array().unwrap();
    let names = |category: &Json| -> Vec<String> {
        let title = category["title"].as_str().unwrap();
        texts(&category["interests"]).into_iter().map(|name| format!("{title}/{name}")).collect()
    };
    categories.iter().flat_map(names).collect()
}

#[test]
fn the_sample_register_is_as_its_head_says() {
    let register = register();
    assert_eq!(column(&register, "SELECT CAST(count(*) AS TEXT) FROM registrations"), ["40"]);
    let twice = "SELECT group_concat(id) FROM registrations GROUP BY lower(email) HAVING count(*) > 1";
    assert_eq!(column(&register, twice), ["27,28"]);
    let unusable: Vec<String> = column(&register, "SELECT email FROM registrations")
        .into_iter()
        .filter(|email| EmailAddress::parse(email).is_err())
        .collect();
    assert_eq!(unusable, ["b.hollenbeck(at)countyworks.test"]);
    let left = "SELECT CAST(id AS TEXT) FROM registrations WHERE subscription = 'unsubscribed' ORDER BY id";
    assert_eq!(column(&register, left), ["21", "22", "37"]);
    let edited = "SELECT CAST(id AS TEXT) FROM registrations
      WHERE updated_at > max(created_at, coalesce(subscription_changed_at, '')) ORDER BY id";
    assert_eq!(column(&register, edited), ["4", "25"]);
}

#[test]
fn no_address_can_belong_to_anybody() {
    let audience = audience();
    let remote = audience["members"].as_array().unwrap().iter().map(|member| &member["email"]);
    let remote = remote.map(|email| email.as_str().unwrap().to_owned());
    let local = column(&register(), "SELECT email FROM registrations");
    for email in local.into_iter().chain(remote) {
        assert!(email.ends_with(".test"), "{email}");
    }
}

#[test]
fn every_member_of_the_audience_could_be_one() {
    let audience = audience();
    let (offered, mut addresses) = (offered(&audience), BTreeSet::new());
    let fields = audience["merge_fields"].as_array().unwrap();
    let tags: BTreeSet<&str> = fields.iter().map(|field| field["tag"].as_str().unwrap()).collect();
    for member in audience["members"].as_array().unwrap() {
        let email = EmailAddress::parse(member["email"].as_str().unwrap()).unwrap();
        assert!(SubscriptionStatus::parse(member["status"].as_str().unwrap()).is_some(), "{email}");
        assert!(texts(&member["interests"]).into_iter().all(|name| offered.contains(name)), "{email}");
        let filled = member["merge_fields"].as_object().unwrap();
        assert!(filled.keys().all(|tag| tags.contains(tag.as_str())), "{email}");
        let [opted_in, changed] = ["opted_in_at", "changed_at"].map(|key| member[key].as_str().unwrap());
        let [opted_in, changed]: [jiff::Timestamp; 2] = [opted_in, changed].map(|time| time.parse().unwrap());
        assert!(opted_in <= changed, "{email}");
        assert!(addresses.insert(email.key()), "{email} is there twice");
    }
}

#[test]
fn the_sample_tells_every_part_of_the_story() {
    let audience = audience();
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for member in audience["members"].as_array().unwrap() {
        *statuses.entry(member["status"].as_str().unwrap()).or_default() += 1;
    }
    let expected = [("archived", 2), ("cleaned", 2), ("subscribed", 26), ("unsubscribed", 4)];
    assert_eq!(statuses, BTreeMap::from(expected));
    let local: BTreeSet<String> =
        column(&register(), "SELECT lower(email) FROM registrations").into_iter().collect();
    let only_remote = audience["members"].as_array().unwrap().iter();
    let only_remote = only_remote.filter(|member| {
        !local.contains(&member["email"].as_str().unwrap().to_lowercase()) && member["status"] == "subscribed"
    });
    assert_eq!(only_remote.count(), 4);
}

#[test]
fn the_configuration_names_what_both_sides_have() {
    let (config, audience, register) = (configuration(), audience(), register());
    let offered = offered(&audience);
    let titles: BTreeMap<String, String> = config
        .interests
        .iter()
        .map(|interest| match &interest.target {
            InterestTarget::Category(title) => (interest.dimension.to_string(), title.clone()),
            InterestTarget::TagPrefix(prefix) => panic!("{prefix} is no category"),
        })
        .collect();
    let local = column(&register, "SELECT DISTINCT dimension || ':' || interest FROM registration_interests");
    let groups = config.working_groups.iter().flat_map(|group| group.any.iter().chain(&group.all));
    for interest in local.into_iter().chain(groups.map(ToString::to_string)) {
        let (dimension, name) = interest.split_once(':').unwrap();
        assert!(offered.contains(&format!("{}/{name}", titles[dimension])), "{interest}");
    }
    let fields = audience["merge_fields"].as_array().unwrap();
    let tags: Vec<&str> = fields.iter().map(|field| field["tag"].as_str().unwrap()).collect();
    assert_eq!(config.merge_fields.iter().map(|field| field.tag.as_str()).collect::<Vec<_>>(), tags);
}
