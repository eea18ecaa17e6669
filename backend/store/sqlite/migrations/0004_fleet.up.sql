-- What nodes report, and the environments that come and go.

-- The last status of each node, in the words of who writes to it.
CREATE TABLE nodes (
  node   TEXT PRIMARY KEY,
  writer TEXT NOT NULL,
  at     INTEGER NOT NULL,
  doc    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of each grant on each node. 0 is no time.
CREATE TABLE reports (
  grant_id       TEXT NOT NULL,
  node           TEXT NOT NULL,
  revision       INTEGER NOT NULL,
  written_at     INTEGER NOT NULL,
  verified_at    INTEGER NOT NULL,
  removed_at     INTEGER NOT NULL,
  first_admitted INTEGER NOT NULL,
  last_admitted  INTEGER NOT NULL,
  admitted       INTEGER NOT NULL,
  first_refused  INTEGER NOT NULL,
  refused        INTEGER NOT NULL,
  PRIMARY KEY (grant_id, node)
) STRICT, WITHOUT ROWID;

-- Environments that were registered. One that was removed stays, so that its grants are ended by whoever finds one.
CREATE TABLE environments (
  name       TEXT PRIMARY KEY,
  template   TEXT NOT NULL,
  by_subject TEXT NOT NULL,
  at         INTEGER NOT NULL,
  removed_at INTEGER NOT NULL,
  removed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
