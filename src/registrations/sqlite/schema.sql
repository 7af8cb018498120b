-- The register that `rosterd init` creates: what the default mapping names.
CREATE TABLE registrations (
  -- AUTOINCREMENT: a key that was used is never given to another person.
  id                      INTEGER PRIMARY KEY AUTOINCREMENT,
  email                   TEXT NOT NULL,
  membership              TEXT NOT NULL DEFAULT 'subscriber',   -- member | supporter | subscriber
  subscription            TEXT NOT NULL DEFAULT 'subscribed',   -- subscribed | unsubscribed | pending | cleaned
  subscription_changed_at TEXT,          -- RFC 3339; when the person last said so
  first_name              TEXT,
  last_name               TEXT,
  organisation            TEXT,
  country                 TEXT,
  signup_ip               TEXT,          -- proof of consent, passed on to Mailchimp
  signup_at               TEXT,
  preferences_url         TEXT,          -- written by Rosterd: the member's preference center
  sync_note               TEXT,          -- written by Rosterd: why this row cannot be synchronized, else NULL
  created_at              TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at              TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  deleted_at              TEXT
);
CREATE INDEX registrations_email ON registrations (lower(email));
CREATE INDEX registrations_updated_at ON registrations (updated_at);

CREATE TABLE registration_interests (
  registration_id INTEGER NOT NULL REFERENCES registrations(id) ON DELETE CASCADE,
  dimension       TEXT NOT NULL,         -- topic | region | sector
  interest        TEXT NOT NULL,
  PRIMARY KEY (registration_id, dimension, interest)
);

CREATE TABLE registration_removals (
  registration_id INTEGER NOT NULL,
  removed_at      TEXT NOT NULL
);

-- updated_at is true on every change but those of Rosterd's own two columns. A statement may set it itself, forward
-- and in the same spelling; anything else would hide the change from whoever reads by it. No trigger fires itself:
-- none is on a column that it sets.
CREATE TRIGGER registrations_touched
AFTER UPDATE OF id, email, membership, subscription, subscription_changed_at, first_name, last_name, organisation,
  country, signup_ip, signup_at, created_at, deleted_at ON registrations
WHEN NEW.updated_at <= OLD.updated_at OR NEW.updated_at NOT GLOB '????-??-??T??:??:??*Z'
BEGIN
  UPDATE registrations SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

CREATE TRIGGER registrations_dated
AFTER INSERT ON registrations
WHEN NEW.updated_at NOT GLOB '????-??-??T??:??:??*Z'
BEGIN
  UPDATE registrations SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

-- A change of consent without a time of its own happened now.
CREATE TRIGGER registrations_consent
AFTER UPDATE OF subscription ON registrations
WHEN NEW.subscription IS NOT OLD.subscription AND NEW.subscription_changed_at IS OLD.subscription_changed_at
BEGIN
  UPDATE registrations SET subscription_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

-- A removed row leaves a trace, and no interests behind where foreign keys are not enforced.
CREATE TRIGGER registrations_removed
AFTER DELETE ON registrations
BEGIN
  DELETE FROM registration_interests WHERE registration_id = OLD.id;
  INSERT INTO registration_removals (registration_id, removed_at)
  VALUES (OLD.id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
END;

CREATE TRIGGER registrations_rekeyed
AFTER UPDATE OF id ON registrations
WHEN NEW.id IS NOT OLD.id
BEGIN
  INSERT INTO registration_removals (registration_id, removed_at)
  VALUES (OLD.id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
END;

CREATE TRIGGER registration_interests_added
AFTER INSERT ON registration_interests
BEGIN
  UPDATE registrations SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.registration_id;
END;

CREATE TRIGGER registration_interests_changed
AFTER UPDATE ON registration_interests
BEGIN
  UPDATE registrations SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  WHERE id IN (OLD.registration_id, NEW.registration_id);
END;

CREATE TRIGGER registration_interests_dropped
AFTER DELETE ON registration_interests
BEGIN
  UPDATE registrations SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = OLD.registration_id;
END;
