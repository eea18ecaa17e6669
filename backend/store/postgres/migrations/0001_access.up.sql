-- Names are written in full, and functions have a search path of their own: who has a schema or a temporary table of
-- their own cannot put it in the place of one of these.
DO $$
BEGIN
  -- Not IF NOT EXISTS, which asks for the right to make a schema even where a database's owner has made it.
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'haproxyaccess') THEN
    CREATE SCHEMA haproxyaccess;
  END IF;
END $$;

-- refuse is a trigger for what never happens to a table; its argument says why.
CREATE FUNCTION haproxyaccess.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- The allowed changes of a grant's state: the same as grant.Transitions(); a test compares the two.
CREATE TABLE haproxyaccess.transitions (
  from_state text COLLATE "C" NOT NULL,
  verb       text COLLATE "C" NOT NULL,
  to_state   text COLLATE "C" NOT NULL,
  PRIMARY KEY (from_state, verb)
);

INSERT INTO haproxyaccess.transitions (from_state, verb, to_state) VALUES
  ('',         'request',          'pending'),
  ('pending',  'approve',          'pending'),
  ('pending',  'withdraw',         'pending'),
  ('pending',  'complete',         'approved'),
  ('pending',  'deny',             'denied'),
  ('pending',  'cancel',           'cancelled'),
  ('pending',  'lapse',            'lapsed'),
  ('pending',  'revoke',           'revoked'),
  ('approved', 'activate',         'active'),
  ('approved', 'cancel',           'cancelled'),
  ('approved', 'revoke',           'revoked'),
  ('approved', 'lapse',            'lapsed'),
  ('active',   'ask_extension',    'active'),
  ('active',   'approve',          'active'),
  ('active',   'withdraw',         'active'),
  ('active',   'extend',           'active'),
  ('active',   'deny_extension',   'active'),
  ('active',   'cancel_extension', 'active'),
  ('active',   'lapse_extension',  'active'),
  ('active',   'expire',           'expired'),
  ('active',   'revoke',           'revoked'),
  ('active',   'review',           'active'),
  ('expired',  'review',           'expired'),
  ('revoked',  'review',           'revoked');

-- The log's last entry, and the one lock: who writes to the log holds this row from the beginning of the transaction until
-- it is committed, so revisions and hashes are given in the order of commits.
CREATE TABLE haproxyaccess.head (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  revision bigint NOT NULL,
  hash     bytea NOT NULL CHECK (octet_length(hash) = 32)
);

INSERT INTO haproxyaccess.head (revision, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- The log. Times are milliseconds since 1970, 0 where not set. doc is the whole event (store.EncodeEvent), hash chains it
-- to all before it (store.Chain). Of a lock's event grant_id is the lock's id. version, from_state and to_state say which
-- transition an event is: 0 and empty for one that is none. batch names the transaction that wrote it.
CREATE TABLE haproxyaccess.events (
  revision    bigint PRIMARY KEY,
  at          bigint NOT NULL,
  version     bigint NOT NULL,
  grant_id    text COLLATE "C" NOT NULL,
  verb        text COLLATE "C" NOT NULL,
  subject     text COLLATE "C" NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  pool        text COLLATE "C" NOT NULL,
  from_state  text COLLATE "C" NOT NULL,
  to_state    text COLLATE "C" NOT NULL,
  hash        bytea NOT NULL CHECK (octet_length(hash) = 32),
  batch       bytea NOT NULL DEFAULT '',
  doc         text COLLATE "C" NOT NULL,
  CHECK (version >= 0 AND (version = 0) = (verb IN ('refuse', 'lock', 'unlock', 'policy', 'policy_refused', 'drift'))),
  CHECK (version > 0 OR from_state = '' AND to_state = '')
);

-- A version of a grant is there once; events that are no transition may be many.
CREATE UNIQUE INDEX events_grant ON haproxyaccess.events (grant_id, version, (CASE WHEN version = 0 THEN revision ELSE 0 END));
CREATE INDEX events_subject ON haproxyaccess.events (subject, revision);
CREATE INDEX events_owner ON haproxyaccess.events (owner, revision) WHERE owner <> '';
CREATE INDEX events_pool ON haproxyaccess.events (environment, pool, revision);
CREATE INDEX events_time ON haproxyaccess.events (at, revision);
CREATE INDEX events_other ON haproxyaccess.events (verb, revision) WHERE version = 0;

-- Locks. doc is the whole lock (store.EncodeLock). One that was not lifted has 0 there.
CREATE TABLE haproxyaccess.locks (
  id          text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
  subject     text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  pool        text COLLATE "C" NOT NULL,
  at          bigint NOT NULL,
  until       bigint NOT NULL,
  lifted_at   bigint NOT NULL,
  revision    bigint NOT NULL,
  doc         text COLLATE "C" NOT NULL
);

CREATE INDEX locks_open ON haproxyaccess.locks (until) WHERE lifted_at = 0;
CREATE INDEX locks_order ON haproxyaccess.locks (at DESC, id DESC);

-- The log holds the table of transitions by itself: each event of a grant goes on from the one before, without a gap, and
-- leaves what the request has fixed. The verbs that a lock stops are those of grant.Verb.Opens.
--
-- A plan is made once for a connection, perhaps while a table is empty: it must be the right one for a full table too. What
-- is switched off for that makes plans look expensive, and so worth compiling (jit), which takes far longer than they do.
CREATE FUNCTION haproxyaccess.events_added() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  before bigint;
  n      bigint;
  lowest bigint;
  latest bigint;
BEGIN
  SELECT count(*), min(revision), max(revision) INTO n, lowest, latest FROM added;
  IF n = 0 THEN
    RETURN NULL;
  END IF;
  SELECT revision INTO before FROM haproxyaccess.head FOR UPDATE;
  IF lowest <> before + 1 OR latest <> before + n THEN
    RAISE EXCEPTION 'the log has no gap' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added AS e WHERE e.version > 0 AND NOT EXISTS (SELECT 1 FROM haproxyaccess.transitions AS t
      WHERE t.from_state = e.from_state AND t.verb = e.verb AND t.to_state = e.to_state)) THEN
    RAISE EXCEPTION 'this event is not in the table of transitions' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added AS e LEFT JOIN haproxyaccess.events AS b
      ON b.grant_id = e.grant_id AND b.version = e.version - 1 AND b.version > 0
      WHERE e.version = 1 AND e.from_state <> '' OR e.version > 1 AND (b.revision IS NULL OR b.revision >= e.revision
        OR b.to_state <> e.from_state OR b.subject <> e.subject OR b.owner <> e.owner OR b.environment <> e.environment
        OR b.pool <> e.pool)) THEN
    RAISE EXCEPTION 'this event does not follow from the one before' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added AS e JOIN haproxyaccess.locks AS l ON l.lifted_at = 0 AND l.until > e.at
      AND l.subject IN ('', e.subject, e.owner) AND l.environment IN ('', e.environment) AND l.pool IN ('', e.pool)
      WHERE e.verb IN ('request', 'approve', 'complete', 'activate', 'ask_extension', 'extend')) THEN
    RAISE EXCEPTION 'a lock covers this access' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  UPDATE haproxyaccess.head SET revision = latest, hash = (SELECT e.hash FROM added AS e WHERE e.revision = latest);
  RETURN NULL;
END $$;

CREATE TRIGGER events_added AFTER INSERT ON haproxyaccess.events REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.events_added();
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON haproxyaccess.events
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('events are not changed');

CREATE FUNCTION haproxyaccess.head_moves() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
BEGIN
  IF NEW.revision <= OLD.revision
    OR NOT EXISTS (SELECT 1 FROM haproxyaccess.events AS e WHERE e.revision = NEW.revision AND e.hash = NEW.hash) THEN
    RAISE EXCEPTION 'the head is the last event' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER head_moves BEFORE UPDATE ON haproxyaccess.head FOR EACH ROW EXECUTE FUNCTION haproxyaccess.head_moves();
CREATE TRIGGER head_stays BEFORE INSERT OR DELETE OR TRUNCATE ON haproxyaccess.head
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('there is one head');

-- doc is the whole grant (store.EncodeGrant); the other columns are what is searched for and held together by the rules
-- below. due_at is when the clock has something to do, while the state is not final; waiting are the groups of the vote
-- that is on, review those of the review that is to be done.
CREATE TABLE haproxyaccess.grants (
  id           text COLLATE "C" PRIMARY KEY,
  subject      text COLLATE "C" NOT NULL,
  owner        text COLLATE "C" NOT NULL,
  environment  text COLLATE "C" NOT NULL,
  pool         text COLLATE "C" NOT NULL,
  state        text COLLATE "C" NOT NULL,
  version      bigint NOT NULL,
  revision     bigint NOT NULL,
  requested_at bigint NOT NULL,
  starts_at    bigint NOT NULL,
  lapses_at    bigint NOT NULL,
  expires_at   bigint NOT NULL,
  due_at       bigint NOT NULL,
  waiting      text[] COLLATE "C" NOT NULL DEFAULT '{}',
  review       text[] COLLATE "C" NOT NULL DEFAULT '{}',
  doc          text COLLATE "C" NOT NULL
);

-- One approved or active grant of a subject for a pool.
CREATE UNIQUE INDEX grants_live ON haproxyaccess.grants (subject, environment, pool) WHERE state IN ('approved', 'active');
CREATE INDEX grants_order ON haproxyaccess.grants (requested_at DESC, id DESC);
CREATE INDEX grants_subject ON haproxyaccess.grants (subject, requested_at DESC, id DESC);
CREATE INDEX grants_owner ON haproxyaccess.grants (owner, requested_at DESC, id DESC) WHERE owner <> '';
CREATE INDEX grants_waiting ON haproxyaccess.grants USING gin (waiting) WHERE waiting <> '{}';
CREATE INDEX grants_review ON haproxyaccess.grants USING gin (review) WHERE review <> '{}';
CREATE INDEX grants_due ON haproxyaccess.grants (state, due_at) WHERE state IN ('pending', 'approved', 'active');

-- A row is what the grant's last event led to. It may pass over versions that were there for a moment of one transaction:
-- the log has them all.
CREATE FUNCTION haproxyaccess.grants_begin() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added AS g LEFT JOIN LATERAL (SELECT * FROM haproxyaccess.events AS e
      WHERE e.grant_id = g.id AND e.version > 0 ORDER BY e.version DESC LIMIT 1) AS e ON true
      WHERE e.revision IS NULL OR (e.revision, e.version, e.to_state, e.subject, e.owner, e.environment, e.pool)
        <> (g.revision, g.version, g.state, g.subject, g.owner, g.environment, g.pool)) THEN
    RAISE EXCEPTION 'a grant is what its last event led to' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION haproxyaccess.grants_advance() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_mergejoin = off AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added AS g LEFT JOIN removed AS b ON b.id = g.id LEFT JOIN LATERAL (SELECT * FROM haproxyaccess.events AS e
      WHERE e.grant_id = g.id AND e.version > 0 ORDER BY e.version DESC LIMIT 1) AS e ON true
      WHERE b.id IS NULL OR e.revision IS NULL OR g.version <= b.version OR g.revision <= b.revision
        OR (b.subject, b.owner, b.environment, b.pool, b.requested_at) <> (g.subject, g.owner, g.environment, g.pool, g.requested_at)
        OR (e.revision, e.version, e.to_state) <> (g.revision, g.version, g.state)) THEN
    RAISE EXCEPTION 'this change of a grant is not in the table of transitions' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER grants_begin AFTER INSERT ON haproxyaccess.grants REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.grants_begin();
CREATE TRIGGER grants_advance AFTER UPDATE ON haproxyaccess.grants REFERENCING OLD TABLE AS removed NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.grants_advance();
CREATE TRIGGER grants_stay BEFORE DELETE OR TRUNCATE ON haproxyaccess.grants
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('grants are not deleted');

CREATE FUNCTION haproxyaccess.locks_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  verb_then text;
BEGIN
  SELECT e.verb INTO verb_then FROM haproxyaccess.events AS e WHERE e.revision = NEW.revision AND e.grant_id = NEW.id;
  IF TG_OP = 'INSERT' THEN
    IF NEW.lifted_at <> 0 OR verb_then IS DISTINCT FROM 'lock' THEN
      RAISE EXCEPTION 'a lock begins by its event' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  ELSIF OLD.lifted_at <> 0 OR NEW.lifted_at = 0 OR verb_then IS DISTINCT FROM 'unlock'
    OR (OLD.id, OLD.subject, OLD.environment, OLD.pool, OLD.at, OLD.until)
      <> (NEW.id, NEW.subject, NEW.environment, NEW.pool, NEW.at, NEW.until) THEN
    RAISE EXCEPTION 'a lock is lifted once, by its event, and not changed otherwise' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER locks_change BEFORE INSERT OR UPDATE ON haproxyaccess.locks
  FOR EACH ROW EXECUTE FUNCTION haproxyaccess.locks_change();
CREATE TRIGGER locks_stay BEFORE DELETE OR TRUNCATE ON haproxyaccess.locks
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('locks are not deleted');

-- Idempotency keys.
CREATE TABLE haproxyaccess.replays (
  caller text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  key    text COLLATE "C" NOT NULL,
  body   bytea NOT NULL CHECK (octet_length(body) = 32),
  ref    text COLLATE "C" NOT NULL,
  at     bigint NOT NULL,
  batch  bytea NOT NULL DEFAULT '',
  PRIMARY KEY (caller, method, key)
);

CREATE INDEX replays_age ON haproxyaccess.replays (at);

-- The last login of each subject. groups is for searching, doc is as they came, as JSON.
CREATE TABLE haproxyaccess.logins (
  subject text COLLATE "C" PRIMARY KEY,
  groups  text[] COLLATE "C" NOT NULL,
  doc     text COLLATE "C" NOT NULL,
  at      bigint NOT NULL
);

CREATE INDEX logins_groups ON haproxyaccess.logins USING gin (groups) WHERE groups <> '{}';

-- How far each sink has been told.
CREATE TABLE haproxyaccess.positions (
  sink     text COLLATE "C" PRIMARY KEY,
  revision bigint NOT NULL
);

-- Signing keys; sealed is the encrypted private half. One signs.
CREATE TABLE haproxyaccess.keys (
  kid     text COLLATE "C" PRIMARY KEY,
  alg     text COLLATE "C" NOT NULL,
  public  bytea NOT NULL,
  sealed  bytea NOT NULL,
  state   text COLLATE "C" NOT NULL,
  created bigint NOT NULL
);

CREATE UNIQUE INDEX keys_current ON haproxyaccess.keys (state) WHERE state = 'current';

-- Clutch's audit log, for gateways that keep it here. The counter's row is the lock under which ids are given, in the
-- order of commits.
CREATE TABLE haproxyaccess.audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id   bigint NOT NULL
);

INSERT INTO haproxyaccess.audit_head (id) VALUES (0);

CREATE TABLE haproxyaccess.audit (
  id       bigint PRIMARY KEY,
  at       bigint NOT NULL,
  request  bytea NOT NULL,
  response bytea
);

CREATE INDEX audit_time ON haproxyaccess.audit (at, id);

CREATE FUNCTION haproxyaccess.audit_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.response IS NOT NULL THEN
      RAISE EXCEPTION 'an audit row begins without an answer' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE haproxyaccess.audit_head SET id = id + 1 RETURNING id INTO NEW.id;
  ELSIF OLD.response IS NOT NULL OR NEW.response IS NULL OR (OLD.id, OLD.at, OLD.request) <> (NEW.id, NEW.at, NEW.request) THEN
    RAISE EXCEPTION 'an audit row takes one answer and no other change' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER audit_change BEFORE INSERT OR UPDATE ON haproxyaccess.audit
  FOR EACH ROW EXECUTE FUNCTION haproxyaccess.audit_change();
CREATE TRIGGER audit_stays BEFORE DELETE OR TRUNCATE ON haproxyaccess.audit
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('audit rows are not deleted');
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON haproxyaccess.audit_head
  FOR EACH STATEMENT EXECUTE FUNCTION haproxyaccess.refuse('there is one head');
