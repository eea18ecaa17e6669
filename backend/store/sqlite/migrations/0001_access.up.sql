-- The allowed changes of a grant's state: the same as grant.Transitions(); a test compares the two.
CREATE TABLE transitions (
  from_state TEXT NOT NULL,
  verb       TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  PRIMARY KEY (from_state, verb)
) STRICT, WITHOUT ROWID;

INSERT INTO transitions (from_state, verb, to_state) VALUES
  ('',         'request',  'pending'),
  ('pending',  'approve',  'pending'),
  ('pending',  'complete', 'approved'),
  ('pending',  'deny',     'denied'),
  ('pending',  'cancel',   'cancelled'),
  ('pending',  'lapse',    'lapsed'),
  ('pending',  'revoke',   'revoked'),
  ('approved', 'activate', 'active'),
  ('approved', 'cancel',   'cancelled'),
  ('approved', 'revoke',   'revoked'),
  ('approved', 'lapse',    'lapsed'),
  ('active',   'extend',   'active'),
  ('active',   'expire',   'expired'),
  ('active',   'revoke',   'revoked');

-- Times are milliseconds since 1970, 0 where not set. doc is the whole grant (store.EncodeGrant); the other columns are
-- what is searched for and held together by the rules below.
CREATE TABLE grants (
  id           TEXT PRIMARY KEY,
  subject      TEXT NOT NULL,
  owner        TEXT NOT NULL,
  environment  TEXT NOT NULL,
  pool         TEXT NOT NULL,
  state        TEXT NOT NULL,
  version      INTEGER NOT NULL,
  revision     INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
  requested_at INTEGER NOT NULL,
  starts_at    INTEGER NOT NULL,
  lapses_at    INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  doc          TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One approved or active grant of a subject for a pool.
CREATE UNIQUE INDEX grants_live ON grants (subject, environment, pool) WHERE state IN ('approved', 'active');
CREATE INDEX grants_order ON grants (requested_at DESC, id DESC);
CREATE INDEX grants_subject ON grants (subject, requested_at DESC, id DESC);
CREATE INDEX grants_open ON grants (state) WHERE state IN ('pending', 'approved', 'active');

-- Every change of a row is the work of an event of that grant, whose verb leads from the old state to the new one. The
-- row's id is looked for as well, since INSERT OR REPLACE would delete the old row without a trigger's notice.
CREATE TRIGGER grants_begin BEFORE INSERT ON grants
WHEN NEW.version <> 1 OR EXISTS (SELECT 1 FROM grants WHERE id = NEW.id)
  OR NOT EXISTS (SELECT 1 FROM events AS e JOIN transitions AS t ON t.verb = e.verb
    WHERE e.revision = NEW.revision AND e.grant_id = NEW.id AND t.from_state = '' AND t.to_state = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'a grant begins as a request');
END;

CREATE TRIGGER grants_advance BEFORE UPDATE ON grants
WHEN NEW.version <> OLD.version + 1
  OR NEW.id <> OLD.id OR NEW.subject <> OLD.subject OR NEW.owner <> OLD.owner
  OR NEW.environment <> OLD.environment OR NEW.pool <> OLD.pool OR NEW.requested_at <> OLD.requested_at
  OR NEW.revision <= OLD.revision
  OR NOT EXISTS (SELECT 1 FROM events AS e JOIN transitions AS t ON t.verb = e.verb
    WHERE e.revision = NEW.revision AND e.grant_id = OLD.id AND t.from_state = OLD.state AND t.to_state = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'this change of a grant is not in the table of transitions');
END;

CREATE TRIGGER grants_stay BEFORE DELETE ON grants
BEGIN
  SELECT RAISE(ABORT, 'grants are not deleted');
END;

-- The log. doc is the whole event (store.EncodeEvent), hash chains it to all before it (store.Chain).
CREATE TABLE events (
  revision INTEGER PRIMARY KEY,
  grant_id TEXT NOT NULL,
  verb     TEXT NOT NULL,
  doc      TEXT NOT NULL,
  hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX events_grant ON events (grant_id, revision);

CREATE TRIGGER events_in_order BEFORE INSERT ON events
WHEN NEW.revision <> (SELECT coalesce(max(revision), 0) + 1 FROM events)
BEGIN
  SELECT RAISE(ABORT, 'the log has no gap');
END;

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not changed');
END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not deleted');
END;

-- Idempotency keys.
CREATE TABLE replays (
  caller TEXT NOT NULL,
  method TEXT NOT NULL,
  key    TEXT NOT NULL,
  body   BLOB NOT NULL CHECK (length(body) = 32),
  ref    TEXT NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (caller, method, key)
) STRICT;

CREATE INDEX replays_age ON replays (at);

-- How far each sink has been told.
CREATE TABLE positions (
  sink     TEXT PRIMARY KEY,
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Signing keys; sealed is the encrypted private half.
CREATE TABLE keys (
  kid     TEXT PRIMARY KEY,
  alg     TEXT NOT NULL,
  public  BLOB NOT NULL,
  sealed  BLOB NOT NULL,
  state   TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Clutch's audit log, for gateways without Postgres.
CREATE TABLE audit (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  at       INTEGER NOT NULL,
  request  BLOB NOT NULL,
  response BLOB
) STRICT;

CREATE INDEX audit_time ON audit (at, id);

CREATE TRIGGER audit_appends BEFORE INSERT ON audit
WHEN NEW.response IS NOT NULL OR EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'an audit row begins without an answer, and replaces none');
END;

CREATE TRIGGER audit_answered_once BEFORE UPDATE ON audit
WHEN OLD.response IS NOT NULL OR NEW.response IS NULL OR NEW.id <> OLD.id OR NEW.at <> OLD.at OR NEW.request <> OLD.request
BEGIN
  SELECT RAISE(ABORT, 'an audit row takes one answer and no other change');
END;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'audit rows are not deleted');
END;
