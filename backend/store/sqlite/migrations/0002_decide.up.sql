-- Votes may come to nothing and be held again over an extension, and access in an emergency is looked at afterwards.
INSERT INTO transitions (from_state, verb, to_state) VALUES
  ('pending', 'withdraw',         'pending'),
  ('active',  'ask_extension',    'active'),
  ('active',  'approve',          'active'),
  ('active',  'withdraw',         'active'),
  ('active',  'deny_extension',   'active'),
  ('active',  'cancel_extension', 'active'),
  ('active',  'lapse_extension',  'active'),
  ('active',  'review',           'active'),
  ('expired', 'review',           'expired'),
  ('revoked', 'review',           'revoked');

-- Both large tables are made anew: what is searched by stands before the document, which is long, and a grant's row is no
-- longer a part of the tree of ids, where each new one would move the documents of others.
CREATE TABLE grants_new (
  id           TEXT NOT NULL UNIQUE,
  subject      TEXT NOT NULL,
  owner        TEXT NOT NULL,
  environment  TEXT NOT NULL,
  pool         TEXT NOT NULL,
  state        TEXT NOT NULL,
  version      INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  requested_at INTEGER NOT NULL,
  starts_at    INTEGER NOT NULL,
  lapses_at    INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  due_at       INTEGER NOT NULL DEFAULT 0,    -- when the clock has something to do, while the state is not final
  waiting      TEXT    NOT NULL DEFAULT '[]', -- the groups of the vote that is on, as JSON
  review       TEXT    NOT NULL DEFAULT '[]', -- the groups of the review that is to be done, as JSON
  doc          TEXT    NOT NULL
) STRICT;

INSERT INTO grants_new
SELECT id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at, lapses_at, expires_at,
  CASE state WHEN 'pending' THEN lapses_at WHEN 'approved' THEN min(lapses_at, starts_at) WHEN 'active' THEN expires_at ELSE 0 END,
  iif(state = 'pending' AND json_valid(doc), (SELECT json_group_array(DISTINCT named.value)
    FROM json_each(doc, '$.steps') AS step, json_each(step.value, '$.groups') AS named), '[]'),
  '[]', doc
FROM grants ORDER BY revision;

DROP TABLE grants;
ALTER TABLE grants_new RENAME TO grants;

-- Of a lock's event grant_id is the lock's id. version, from_state and to_state say which transition an event is: 0 and
-- empty for one that is none. A document that cannot be read stays to be found by who reads the log.
CREATE TABLE events_new (
  revision    INTEGER PRIMARY KEY,
  grant_id    TEXT NOT NULL,
  verb        TEXT NOT NULL,
  subject     TEXT NOT NULL DEFAULT '',
  owner       TEXT NOT NULL DEFAULT '',
  environment TEXT NOT NULL DEFAULT '',
  pool        TEXT NOT NULL DEFAULT '',
  at          INTEGER NOT NULL DEFAULT 0,
  version     INTEGER NOT NULL DEFAULT 0,
  from_state  TEXT NOT NULL DEFAULT '',
  to_state    TEXT NOT NULL DEFAULT '',
  hash        BLOB NOT NULL CHECK (length(hash) = 32),
  doc         TEXT NOT NULL
) STRICT;

INSERT INTO events_new
SELECT revision, grant_id, verb,
  iif(json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.subject'), '') AS TEXT), ''),
  iif(json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.owner'), '') AS TEXT), ''),
  iif(json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.environment'), '') AS TEXT), ''),
  iif(json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.pool'), '') AS TEXT), ''),
  iif(json_valid(doc), CAST(coalesce(json_extract(doc, '$.at'), 0) AS INTEGER), 0),
  iif(verb <> 'refuse' AND json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.version'), 0) AS INTEGER), 0),
  iif(verb <> 'refuse' AND json_valid(doc), CAST(coalesce(json_extract(doc, '$.from'), '') AS TEXT), ''),
  iif(verb <> 'refuse' AND json_valid(doc), CAST(coalesce(json_extract(doc, '$.grant.state'), '') AS TEXT), ''),
  hash, doc
FROM events ORDER BY revision;

DROP TABLE events;
ALTER TABLE events_new RENAME TO events;

CREATE INDEX events_grant ON events (grant_id, revision);
CREATE INDEX events_subject ON events (subject, revision);
CREATE INDEX events_owner ON events (owner, revision) WHERE owner <> '';
CREATE INDEX events_pool ON events (environment, pool, revision);
CREATE INDEX events_time ON events (at, revision);
CREATE INDEX events_other ON events (verb, revision) WHERE version = 0;

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not changed');
END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not deleted');
END;

-- Locks. doc is the whole lock (store.EncodeLock). One that was not lifted has 0 there.
CREATE TABLE locks (
  id          TEXT PRIMARY KEY CHECK (id <> ''),
  subject     TEXT NOT NULL,
  environment TEXT NOT NULL,
  pool        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  until       INTEGER NOT NULL,
  lifted_at   INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  doc         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX locks_open ON locks (until) WHERE lifted_at = 0;
CREATE INDEX locks_order ON locks (at DESC, id DESC);

CREATE TRIGGER locks_begin BEFORE INSERT ON locks
WHEN NEW.lifted_at <> 0 OR EXISTS (SELECT 1 FROM locks WHERE id = NEW.id)
  OR NOT EXISTS (SELECT 1 FROM events WHERE revision = NEW.revision AND grant_id = NEW.id AND verb = 'lock')
BEGIN
  SELECT RAISE(ABORT, 'a lock begins by its event, and replaces none');
END;

CREATE TRIGGER locks_lift BEFORE UPDATE ON locks
WHEN OLD.lifted_at <> 0 OR NEW.lifted_at = 0 OR NEW.id <> OLD.id OR NEW.subject <> OLD.subject
  OR NEW.environment <> OLD.environment OR NEW.pool <> OLD.pool OR NEW.at <> OLD.at OR NEW.until <> OLD.until
  OR NOT EXISTS (SELECT 1 FROM events WHERE revision = NEW.revision AND grant_id = OLD.id AND verb = 'unlock')
BEGIN
  SELECT RAISE(ABORT, 'a lock is lifted once, by its event, and not changed otherwise');
END;

CREATE TRIGGER locks_stay BEFORE DELETE ON locks
BEGIN
  SELECT RAISE(ABORT, 'locks are not deleted');
END;

-- The log itself holds the table of transitions: each event of a grant goes on from the one before, without a gap, and
-- leaves what the request has fixed. The verbs that a lock stops are those of grant.Verb.Opens. It is one trigger, since
-- each costs as much as an index.
CREATE TRIGGER events_added BEFORE INSERT ON events
BEGIN
  SELECT CASE
    WHEN NEW.revision <> (SELECT coalesce(max(revision), 0) + 1 FROM events) THEN RAISE(ABORT, 'the log has no gap')
    WHEN NEW.verb IN ('refuse', 'lock', 'unlock', 'policy', 'policy_refused', 'drift') THEN
      CASE WHEN NEW.version <> 0 OR NEW.from_state <> '' OR NEW.to_state <> '' THEN RAISE(ABORT, 'this event is no transition') END
    WHEN NOT EXISTS (SELECT 1 FROM transitions WHERE from_state = NEW.from_state AND verb = NEW.verb AND to_state = NEW.to_state)
      THEN RAISE(ABORT, 'this event is not in the table of transitions')
    WHEN NEW.version < 1
      OR NEW.version = 1 AND (NEW.from_state <> '' OR EXISTS (SELECT 1 FROM events WHERE grant_id = NEW.grant_id AND version > 0))
      OR NEW.version > 1 AND NOT EXISTS (SELECT 1
        FROM (SELECT * FROM events WHERE grant_id = NEW.grant_id AND version > 0 ORDER BY revision DESC LIMIT 1)
        WHERE version = NEW.version - 1 AND to_state = NEW.from_state AND subject = NEW.subject AND owner = NEW.owner
          AND environment = NEW.environment AND pool = NEW.pool)
      THEN RAISE(ABORT, 'this event does not follow from the one before')
    WHEN NEW.verb IN ('request', 'approve', 'complete', 'activate', 'ask_extension', 'extend') AND EXISTS (SELECT 1 FROM locks
        WHERE lifted_at = 0 AND until > NEW.at AND subject IN ('', NEW.subject, NEW.owner)
          AND environment IN ('', NEW.environment) AND pool IN ('', NEW.pool))
      THEN RAISE(ABORT, 'a lock covers this access')
  END;
END;

-- One approved or active grant of a subject for a pool.
CREATE UNIQUE INDEX grants_live ON grants (subject, environment, pool) WHERE state IN ('approved', 'active');
CREATE INDEX grants_order ON grants (requested_at DESC, id DESC);
CREATE INDEX grants_subject ON grants (subject, requested_at DESC, id DESC);
CREATE INDEX grants_owner ON grants (owner, requested_at DESC, id DESC) WHERE owner <> '';
CREATE INDEX grants_waiting ON grants (requested_at DESC, id DESC) WHERE waiting <> '[]';
CREATE INDEX grants_review ON grants (requested_at DESC, id DESC) WHERE review <> '[]';
CREATE INDEX grants_due ON grants (state, due_at) WHERE state IN ('pending', 'approved', 'active');

-- A row is what the grant's last event led to. It may pass over versions that were there for a moment of one transaction:
-- the log has them all. The row's id is looked for as well, since INSERT OR REPLACE would delete the old row without a
-- trigger's notice.
CREATE TRIGGER grants_begin BEFORE INSERT ON grants
WHEN EXISTS (SELECT 1 FROM grants WHERE id = NEW.id)
  OR NOT EXISTS (SELECT 1
    FROM (SELECT * FROM events WHERE grant_id = NEW.id AND version > 0 ORDER BY revision DESC LIMIT 1)
    WHERE revision = NEW.revision AND version = NEW.version AND to_state = NEW.state AND subject = NEW.subject
      AND owner = NEW.owner AND environment = NEW.environment AND pool = NEW.pool)
BEGIN
  SELECT RAISE(ABORT, 'a grant is what its last event led to, and replaces none');
END;

CREATE TRIGGER grants_advance BEFORE UPDATE ON grants
WHEN NEW.version <= OLD.version OR NEW.revision <= OLD.revision
  OR NEW.id <> OLD.id OR NEW.subject <> OLD.subject OR NEW.owner <> OLD.owner
  OR NEW.environment <> OLD.environment OR NEW.pool <> OLD.pool OR NEW.requested_at <> OLD.requested_at
  OR NOT EXISTS (SELECT 1
    FROM (SELECT * FROM events WHERE grant_id = OLD.id AND version > 0 ORDER BY revision DESC LIMIT 1)
    WHERE revision = NEW.revision AND version = NEW.version AND to_state = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'this change of a grant is not in the table of transitions');
END;

CREATE TRIGGER grants_stay BEFORE DELETE ON grants
BEGIN
  SELECT RAISE(ABORT, 'grants are not deleted');
END;

-- The last login of each subject. groups is for searching, doc as they came; both are JSON.
CREATE TABLE logins (
  subject TEXT PRIMARY KEY,
  groups  TEXT NOT NULL,
  doc     TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One key signs. Where two gateways made the first at the same time, it was the older one.
UPDATE keys SET state = 'retired' WHERE state = 'current'
  AND kid <> (SELECT kid FROM keys WHERE state = 'current' ORDER BY created, kid LIMIT 1);
CREATE UNIQUE INDEX keys_current ON keys (state) WHERE state = 'current';
