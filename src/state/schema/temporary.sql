-- What lives no longer than the connection: the staged plan, and what a full walk has seen.
CREATE TEMP TABLE plan (
  seq         INTEGER PRIMARY KEY,
  rank        INTEGER NOT NULL,
  member      INTEGER NOT NULL,
  email       TEXT NOT NULL,
  kind        TEXT NOT NULL,
  class       TEXT NOT NULL,
  class_at    TEXT,
  fingerprint TEXT NOT NULL,
  planned     TEXT NOT NULL,
  approved    TEXT,                     -- the approved hold that lists it
  held        TEXT                      -- the hold that keeps it back
);
CREATE INDEX temp.plan_rank ON plan (rank, seq);
CREATE INDEX temp.plan_fingerprint ON plan (fingerprint);
CREATE TEMP TABLE seen_contacts (member INTEGER PRIMARY KEY);
CREATE TEMP TABLE seen_rows (seq INTEGER PRIMARY KEY);
