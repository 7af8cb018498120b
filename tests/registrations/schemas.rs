//! The tables of the layouts on each store, and what the configuration says of them.
//!
//! The names of the list layout are what a site may well have, and what SQL has to quote.

use crate::fixture::Layout;
use crate::stores::Store;

/// What makes the tables; the schema of `init` is there already, but for the groups.
pub(crate) fn schema(store: Store, layout: Layout) -> &'static str {
    match (store, layout) {
        (Store::Sqlite, Layout::Rows) => "CREATE TABLE group_members (registration_id INTEGER, name TEXT);",
        (Store::Sqlite, Layout::List) => SQLITE_LIST,
        (Store::Sqlite, Layout::Flags) => SQLITE_FLAGS,
        (Store::Postgres, Layout::Rows) => {
            "CREATE TABLE group_members (registration_id bigint, name text);
             SELECT setval(pg_get_serial_sequence('registrations', 'id'), 500)"
        }
        (Store::Mariadb, Layout::Rows) => {
            "CREATE TABLE group_members (registration_id bigint, name varchar(100))"
        }
        (Store::Postgres, Layout::List) => POSTGRES_LIST,
        (Store::Postgres, Layout::Flags) => POSTGRES_FLAGS,
        (Store::Mariadb, Layout::List) => MARIADB_LIST,
        (Store::Mariadb, Layout::Flags) => MARIADB_FLAGS,
    }
}

/// What the configuration says.
pub(crate) fn mapping(layout: Layout) -> &'static str {
    match layout {
        Layout::Rows => ROW_MAPPING,
        Layout::List => LIST_MAPPING,
        Layout::Flags => FLAG_MAPPING,
    }
}

const SQLITE_LIST: &str = r#"
CREATE TABLE "the ""people""" (
  "select" TEXT PRIMARY KEY, "e-mail" TEXT NOT NULL, "news; letter" VARCHAR(20), "given name" TEXT,
  "said at" DATETIME, "übersicht" TEXT NOT NULL DEFAULT '', "note" TEXT, "made" DATETIME, "changed" DATETIME,
  "gone" DATETIME, "topics" TEXT, "regions" TEXT);
CREATE INDEX "by changed" ON "the ""people""" ("changed");
CREATE TABLE "removed people" ("who" TEXT);
CREATE TABLE "people's groups" ("who" TEXT, "group" TEXT);
"#;

/// One time is a text, as in many a site; the others have a type without a zone.
const POSTGRES_LIST: &str = r#"
CREATE TABLE "the ""people""" (
  "select" text PRIMARY KEY, "e-mail" text NOT NULL, "news; letter" varchar(20), "given name" text,
  "said at" text, "übersicht" text NOT NULL DEFAULT '', "note" text, "made" timestamp, "changed" timestamp,
  "gone" timestamp, "topics" text, "regions" text);
CREATE INDEX "by changed" ON "the ""people""" ("changed");
CREATE TABLE "removed people" ("no." serial, "who" text);
CREATE TABLE "people's groups" ("who" text, "group" text);
"#;

const MARIADB_LIST: &str = r#"
CREATE TABLE `the "people"` (
  `select` varchar(50) PRIMARY KEY, `e-mail` varchar(255) NOT NULL, `news; letter` varchar(20), `given name` mediumtext,
  `said at` varchar(50), `übersicht` varchar(255) NOT NULL DEFAULT '', `note` text, `made` datetime, `changed` datetime,
  `gone` datetime, `topics` text, `regions` text, KEY `by changed` (`changed`)) CHARACTER SET utf8mb4;
CREATE TABLE `removed people` (`no.` int AUTO_INCREMENT PRIMARY KEY, `who` varchar(50));
CREATE TABLE `people's groups` (`who` varchar(50), `group` varchar(100));
"#;

const SQLITE_FLAGS: &str = "
CREATE TABLE registrations (
  id INTEGER PRIMARY KEY, email VARCHAR(100) NOT NULL, subscription TEXT, first_name TEXT NOT NULL,
  subscription_changed_at INT, created_at INT NOT NULL, updated_at INT NOT NULL, deleted_at INT, sync_note TEXT,
  preferences_url TEXT, finance BOOLEAN NOT NULL DEFAULT 0, energy BOOLEAN, africa TEXT);
CREATE TABLE registration_removals (registration_id INTEGER NOT NULL);
CREATE TABLE group_members (registration_id INTEGER, name TEXT);
";

const POSTGRES_FLAGS: &str = "
CREATE TABLE registrations (
  id serial PRIMARY KEY, email varchar(100) NOT NULL, subscription text, first_name text NOT NULL,
  subscription_changed_at int, created_at int NOT NULL, updated_at int NOT NULL, deleted_at int, sync_note text,
  preferences_url text, finance boolean NOT NULL DEFAULT false, energy boolean, africa text);
CREATE TABLE registration_removals (position serial, registration_id int NOT NULL);
CREATE TABLE group_members (registration_id int, name text);
SELECT setval('registrations_id_seq', 500);
";

const MARIADB_FLAGS: &str = "
CREATE TABLE registrations (
  id int unsigned AUTO_INCREMENT PRIMARY KEY, email varchar(100) NOT NULL, subscription varchar(50),
  first_name mediumtext NOT NULL, subscription_changed_at int, created_at int NOT NULL, updated_at int NOT NULL,
  deleted_at int, sync_note text, preferences_url text, finance bit(1) NOT NULL DEFAULT 0, energy boolean,
  africa varchar(10)) CHARACTER SET utf8mb4;
CREATE TABLE registration_removals (position int AUTO_INCREMENT PRIMARY KEY, registration_id int NOT NULL);
CREATE TABLE group_members (registration_id int, name varchar(100));
";

const ROW_MAPPING: &str = r#"
busy_timeout = "50ms"
[working_groups]
table = "group_members"
"#;

const LIST_MAPPING: &str = r#"
table = 'the "people"'
time_zone = "UTC"
busy_timeout = "50ms"
[columns]
id = "select"
email = "e-mail"
subscription = "news; letter"
subscription_changed_at = "said at"
preferences_url = "übersicht"
sync_note = "note"
created_at = "made"
updated_at = "changed"
deleted_at = "gone"
[interests]
layout = "list"
columns = { topic = "topics", region = "regions" }
[removals]
table = "removed people"
registration_id = "who"
[working_groups]
table = "people's groups"
registration_id = "who"
name = "group"
"#;

const FLAG_MAPPING: &str = r#"
busy_timeout = "50ms"
[interests]
layout = "flags"
columns = { finance = "topic:Finance", energy = "topic:Énergie", africa = "region:Africa" }
[working_groups]
table = "group_members"
"#;
