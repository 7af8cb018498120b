-- What lives no longer than the connection: the staged plan, and what a full walk has seen.
CREATE TEMP TABLE plan (
  seq         INTEGER PRIMARY KEY,
  rank        INTEGER NOT NULL,
  member      INTEGER NOT NULL,
  email       TEXT NOT NULL,
  name        TEXT NOT NULL,            -- the address in lower case: what the plan is sorted by when it is shown
  kind        TEXT NOT NULL,
  class       TEXT NOT NULL,
  class_at    TEXT,
  fingerprint TEXT NOT NULL,
  planned     TEXT NOT NULL,
  approved    TEXT,                     -- the approved hold that lists it
  held        TEXT                      -- the hold that keeps it back
);
CREATE INDEX temp.plan_rank ON plan (rank, seq);
CREATE INDEX temp.plan_name ON plan (name, seq);
CREATE INDEX temp.plan_fingerprint ON plan (fingerprint);
CREATE TEMP TABLE conflicts (
  seq      INTEGER PRIMARY KEY,
  member   INTEGER NOT NULL,
  email    TEXT NOT NULL,
  name     TEXT NOT NULL,
  conflict TEXT NOT NULL
);
CREATE INDEX temp.conflicts_name ON conflicts (name, seq);
CREATE TEMP TABLE seen_contacts (member INTEGER PRIMARY KEY);
CREATE TEMP TABLE seen_rows (seq INTEGER PRIMARY KEY);
