//! The documented configuration holds every key, and its defaults are the defaults.

use super::*;

#[test]
fn the_template_is_a_configuration_as_it_stands() {
    let environment = BTreeMap::from([("MAILCHIMP_API_KEY".to_owned(), "0123-us6".to_owned())]);
    Config::parse::<toml::Table>(Path::new("rosterd.toml"), TEMPLATE, &environment).unwrap();
}

/// Every key of a table, `sync.interval`, `merge_field[].tag`; what follows `[registrations]` belongs to the mapping.
fn keys(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
    const OWN_NAMES: &str = "working_group[].fields.";
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        if prefix == OWN_NAMES || (prefix == "registrations." && !key.starts_with("url")) {
            continue;
        }
        found.insert(name.clone());
        match value {
            toml::Value::Table(table) => keys(&format!("{name}."), table, found),
            toml::Value::Array(list) => {
                for table in list.iter().filter_map(toml::Value::as_table) {
                    keys(&format!("{name}[]."), table, found);
                }
            }
            _ => (),
        }
    }
}

#[test]
fn the_template_documents_every_key_and_no_other() {
    let text = uncommented();
    let mut documented = BTreeSet::new();
    keys("", &text.parse().unwrap(), &mut documented);
    let path = Path::new("rosterd.toml");
    let table = parse_toml(path, &text).unwrap();
    let environment = environment();
    let document = Document::new(path, &text, &environment);
    read_root::<toml::Table>(path, document.root(&table));
    assert_eq!(documented, document.known_keys());
}

#[test]
fn the_defaults_that_the_template_shows_are_the_defaults() {
    let shown = |keys: &[&str]| -> String {
        let default = |line: &&str| keys.iter().any(|key| line.starts_with(&format!("#{key} = ")));
        TEMPLATE.lines().filter(default).flat_map(|line| [line.trim_start_matches('#'), "\n"]).collect()
    };
    let text = [
        LEAST.to_owned(),
        shown(&["connections", "connect_timeout", "request_timeout"]),
        format!("[state]\n{}", shown(&["path", "keep_trail", "keep_cycles", "keep_events"])),
        format!(
            "[sync]\n{}",
            shown(&[
                "interval",
                "full_interval",
                "new_local",
                "new_remote",
                "resubscribe",
                "gone_local",
                "prefer"
            ])
        ),
        format!(
            "[guard]\n{}",
            shown(&[
                "removals",
                "removals_more_than",
                "creations",
                "creations_more_than",
                "invitations",
                "invitations_more_than",
            ])
        ),
    ];
    let (spelled, least) = (parse(&text.concat()).unwrap(), parse(LEAST).unwrap());
    assert_eq!(format!("{:?}", spelled.mailchimp), format!("{:?}", least.mailchimp));
    assert_eq!((spelled.state, spelled.sync, spelled.guard), (least.state, least.sync, least.guard));
}
