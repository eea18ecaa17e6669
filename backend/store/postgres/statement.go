package postgres

// What is done for every batch: prepared once for each connection. A batch's rows come as one array for each column.
const (
	// The one lock comes with the limit to how long it is held by who does not go on (see standstill): no question more.
	readHead = "SELECT revision, hash, set_config('idle_in_transaction_session_timeout', '" + standstill + "', true) FROM haproxyaccess.head FOR UPDATE"
	// The batch's first event is asked for by its revision, or its keys, where it has no event.
	readBatch = `SELECT EXISTS (SELECT 1 FROM haproxyaccess.events WHERE revision = $2 AND batch = $1)
		OR EXISTS (SELECT 1 FROM haproxyaccess.replays WHERE batch = $1)`
	// All that a batch has to know, in one round trip: rows of five kinds.
	readKnown = `SELECT 1 AS kind, id, state, subject, owner, environment, pool, version, requested_at
			FROM haproxyaccess.grants WHERE id = ANY ($1)
		UNION ALL SELECT 2, id, '', subject, '', environment, pool, 0, 0
			FROM haproxyaccess.grants WHERE subject = ANY ($2) AND state IN ('approved', 'active')
		UNION ALL SELECT 3, '', '', who, '', '', '', coalesce((SELECT revision FROM haproxyaccess.events
			WHERE subject = who AND version > 0 ORDER BY revision DESC LIMIT 1), 0), 0 FROM unnest($3::text[]) AS who
		UNION ALL SELECT 4, r.key, r.method, r.caller, '', '', '', 0, 0 FROM unnest($4::text[], $5::text[], $6::text[]) AS k (caller, method, key)
			JOIN haproxyaccess.replays AS r ON r.caller = k.caller AND r.method = k.method AND r.key = k.key
		UNION ALL SELECT 5, id, doc, '', '', '', '', 0, 0 FROM haproxyaccess.locks WHERE id = ANY ($7)
		UNION ALL SELECT 5, id, doc, '', '', '', '', 0, 0 FROM haproxyaccess.locks WHERE $8 AND lifted_at = 0 AND until > $9`
	insertEvents = `INSERT INTO haproxyaccess.events (revision, at, version, grant_id, verb, subject, owner, environment, pool,
			from_state, to_state, hash, doc, batch)
		SELECT n.*, $14::bytea FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
			$8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::text[]) AS n`
	// Both take the same arrays. What a request fixed is written again by later versions too, so that the schema sees and
	// refuses a change of it.
	insertGrants = `INSERT INTO haproxyaccess.grants (version, revision, requested_at, starts_at, lapses_at, expires_at, due_at,
			review_due, id, subject, owner, environment, pool, state, waiting, review, doc)
		SELECT version, revision, requested_at, starts_at, lapses_at, expires_at, due_at, review_due, id,
			subject, owner, environment, pool, state, waiting::text[], review::text[], doc FROM ` + grantArrays
	updateGrants = `UPDATE haproxyaccess.grants AS g SET version = n.version, revision = n.revision, requested_at = n.requested_at,
			starts_at = n.starts_at, lapses_at = n.lapses_at, expires_at = n.expires_at, due_at = n.due_at,
			review_due = n.review_due, subject = n.subject, owner = n.owner, environment = n.environment, pool = n.pool,
			state = n.state, waiting = n.waiting::text[], review = n.review::text[], doc = n.doc
		FROM ` + grantArrays + " WHERE g.id = n.id"
	grantArrays = `unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
			$17::text[]) AS n (version, revision, requested_at, starts_at, lapses_at, expires_at, due_at, review_due, id,
				subject, owner, environment, pool, state, waiting, review, doc)`
	insertLock = `INSERT INTO haproxyaccess.locks (id, subject, environment, pool, at, until, lifted_at, revision, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	updateLock = `UPDATE haproxyaccess.locks SET subject = $2, environment = $3, pool = $4, at = $5, until = $6, lifted_at = $7,
		revision = $8, doc = $9 WHERE id = $1`
	// The keys that go are others than those that come: one that is there is not used again.
	insertReplays = `WITH old AS (DELETE FROM haproxyaccess.replays WHERE (caller, method, key) IN (SELECT caller, method, key
			FROM haproxyaccess.replays WHERE at < $8 ORDER BY at LIMIT $9))
		INSERT INTO haproxyaccess.replays (caller, method, key, body, ref, at, batch)
		SELECT n.*, $7::bytea FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[]) AS n`
)

var statements = []string{
	readHead, readBatch, readKnown, insertEvents, insertGrants, updateGrants, insertLock, updateLock, insertReplays,
}
