-- Times are RFC 3339 in UTC with six digits of fraction, so that they sort as text.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
  name     TEXT PRIMARY KEY,
  value    TEXT NOT NULL,
  moved_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
  number      INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE
) STRICT;

-- Small columns first: what stands behind a long one is slow to reach.
CREATE TABLE members (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  settled         INTEGER NOT NULL DEFAULT 0,  -- the number of the policy it was settled under, else 0
  recheck         INTEGER NOT NULL DEFAULT 0,  -- 1: to be read by itself before anything else
  archived        INTEGER NOT NULL DEFAULT 0,  -- 1: the contact is archived
  contact_id      TEXT UNIQUE,                 -- stays when the contact is gone, in case it comes back
  contact_address TEXT,                        -- lower case; NULL without a contact
  contact_mark    INTEGER,                     -- stands for the contact's JSON where only its change matters
  base_address    TEXT,                        -- lower case; NULL without a base
  waits           TEXT,
  contact         TEXT,                        -- JSON of model::Contact; NULL: there is none, proven
  created         TEXT,                        -- the same as it was created in bulk, until a page shows its contact_id
  base            TEXT                         -- JSON of reconcile::trio::Base
) STRICT;
-- Answers by itself whether a contact is as it was: of the many that are, no page of the table is touched.
CREATE INDEX members_contact_mark ON members (contact_id, contact_mark, recheck);
CREATE INDEX members_settled ON members (settled);
CREATE INDEX members_recheck ON members (id) WHERE recheck = 1;
CREATE INDEX members_created ON members (json_extract(created, '$.timestamp_opt')) WHERE created IS NOT NULL;
CREATE INDEX members_contact_address ON members (contact_address, archived) WHERE contact IS NOT NULL;
CREATE INDEX members_base_address ON members (base_address) WHERE base IS NOT NULL;

CREATE TABLE registrations (
  seq     INTEGER PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  member  INTEGER REFERENCES members (id) ON DELETE CASCADE,  -- NULL: never was usable
  address TEXT,                                               -- lower case; NULL where it cannot be read
  problem TEXT,                                               -- why it cannot be synchronized as it stands
  noted   TEXT,                                               -- the note it bears, while it has a problem
  mark    INTEGER,                                            -- stands for the payload; NULL with a problem
  payload TEXT                                                -- JSON of model::Registration, the last usable; opt-outs later too
) STRICT;
CREATE INDEX registrations_mark ON registrations (id, mark);
CREATE INDEX registrations_member ON registrations (member);
CREATE INDEX registrations_address ON registrations (address, member);
CREATE INDEX registrations_problem ON registrations (seq) WHERE problem IS NOT NULL;

-- Contacts that stay behind at an address that their member leaves: noted before each is unsubscribed, so that this is
-- never taken for the person's word.
CREATE TABLE left_behind (
  contact_id TEXT PRIMARY KEY,
  member     INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
  base       TEXT                       -- JSON: the member's base once the contact is out; NULL: it is
) STRICT, WITHOUT ROWID;
CREATE INDEX left_behind_member ON left_behind (member);

CREATE TABLE tombstones (
  hash      TEXT PRIMARY KEY,
  at        TEXT NOT NULL,
  opted_out INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
  member   INTEGER PRIMARY KEY REFERENCES members (id) ON DELETE CASCADE,
  class    TEXT NOT NULL,
  title    TEXT NOT NULL,
  said     TEXT NOT NULL,
  since    TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  retry_at TEXT,
  active   INTEGER NOT NULL             -- 0: tried again once its turn comes
) STRICT;
CREATE INDEX parked_retry_at ON parked (retry_at) WHERE retry_at IS NOT NULL;

CREATE TABLE pending (
  address TEXT PRIMARY KEY,
  reason  TEXT NOT NULL,
  since   TEXT NOT NULL,                -- its turn comes by this
  asked   TEXT NOT NULL                 -- when it was last asked for: later than looked at, it is looked at once more
) STRICT, WITHOUT ROWID;

CREATE TABLE cycles (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended_at   TEXT,
  report     TEXT,
  error      TEXT
) STRICT;
CREATE INDEX cycles_started_at ON cycles (started_at);
CREATE INDEX cycles_kind ON cycles (kind, id);

-- The trail. An entry without an outcome was begun and not ended.
CREATE TABLE operations (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  cycle      INTEGER NOT NULL,
  member     INTEGER NOT NULL,
  hash       TEXT NOT NULL,
  email      TEXT NOT NULL,
  side       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  class      TEXT NOT NULL,
  class_at   TEXT,
  operation  TEXT NOT NULL,
  reason     TEXT NOT NULL,
  decided_by TEXT NOT NULL,             -- rule, adoption, or the id of the approved hold
  begun_at   TEXT NOT NULL,
  ended_at   TEXT,
  outcome    TEXT,
  said       TEXT
) STRICT;
CREATE INDEX operations_member ON operations (member, id);
CREATE INDEX operations_hash ON operations (hash);
CREATE INDEX operations_class ON operations (class, begun_at);
CREATE INDEX operations_begun_at ON operations (begun_at);
CREATE INDEX operations_open ON operations (id) WHERE outcome IS NULL;

-- Changes handed to Mailchimp to be made later. One without a handle was perhaps submitted, perhaps not.
CREATE TABLE batches (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  handle   TEXT UNIQUE,
  begun_at TEXT NOT NULL
) STRICT;
-- What of them has no outcome yet.
CREATE TABLE batch_entries (
  entry  INTEGER PRIMARY KEY REFERENCES operations (id) ON DELETE CASCADE,
  batch  INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
  member INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
  mark   INTEGER                        -- the contact as it was known when the change was handed over
) STRICT;
CREATE INDEX batch_entries_batch ON batch_entries (batch, entry);
CREATE INDEX batch_entries_member ON batch_entries (member);
CREATE TRIGGER an_outcome_ends_a_batch_entry AFTER UPDATE OF outcome ON operations WHEN NEW.outcome IS NOT NULL
BEGIN
  DELETE FROM batch_entries WHERE entry = NEW.id;
END;
CREATE TRIGGER the_last_entry_ends_a_batch AFTER DELETE ON batch_entries
BEGIN
  DELETE FROM batches WHERE id = OLD.batch AND NOT EXISTS (SELECT 1 FROM batch_entries WHERE batch = OLD.batch);
END;

CREATE TABLE holds (
  id         TEXT PRIMARY KEY,
  class      TEXT NOT NULL,
  digest     TEXT NOT NULL,             -- of the class and what is listed; the id is its beginning
  reason     TEXT NOT NULL,
  since      TEXT NOT NULL,
  count      INTEGER NOT NULL,
  decision   TEXT NOT NULL,             -- open, approved, rejected, done
  decided_at TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE held_operations (
  hold        TEXT NOT NULL REFERENCES holds (id) ON DELETE CASCADE,
  seq         INTEGER NOT NULL,
  member      INTEGER NOT NULL,
  email       TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  planned     TEXT,                     -- NULL where a contact is missing and nothing is planned
  PRIMARY KEY (hold, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_operations_fingerprint ON held_operations (fingerprint);
CREATE TRIGGER held_operations_are_immutable BEFORE UPDATE ON held_operations
BEGIN
  SELECT RAISE(ABORT, 'what a hold lists never changes');
END;

CREATE TABLE events (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at TEXT NOT NULL,
  source      TEXT NOT NULL,
  kind        TEXT NOT NULL,
  addresses   TEXT NOT NULL,            -- JSON, as they were spelled
  details     TEXT NOT NULL,            -- JSON
  digest      TEXT NOT NULL UNIQUE      -- of the whole body: the same event, delivered again, is one
) STRICT;
CREATE INDEX events_received_at ON events (received_at);

CREATE TABLE event_addresses (
  hash  TEXT NOT NULL,
  event INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
  PRIMARY KEY (hash, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_addresses_event ON event_addresses (event);

CREATE TABLE erasures (
  id         INTEGER PRIMARY KEY,
  proof      TEXT NOT NULL,             -- HMAC-SHA256 of the address under the key in meta
  erased_at  TEXT NOT NULL,
  outcome    TEXT NOT NULL
) STRICT;
CREATE INDEX erasures_proof ON erasures (proof);
