package sqlite

// What is done for every change: prepared once.
const (
	readHead    = "SELECT revision, hash FROM events ORDER BY revision DESC LIMIT 1"
	readGrant   = "SELECT version, state, subject, owner, environment, pool, requested_at FROM grants WHERE id = ?1"
	readLive    = "SELECT id, environment, pool FROM grants WHERE subject = ?1 AND state IN ('approved', 'active')"
	readLast    = "SELECT revision FROM events WHERE subject = ?1 AND version > 0 ORDER BY revision DESC LIMIT 1"
	readReplay  = "SELECT 1 FROM replays WHERE caller = ?1 AND method = ?2 AND key = ?3"
	readLock    = "SELECT doc FROM locks WHERE id = ?1"
	readLocks   = "SELECT doc FROM locks WHERE lifted_at = 0 AND until > ?1"
	insertEvent = `INSERT INTO events (revision, grant_id, verb, doc, hash, subject, owner, environment, pool, at, version, from_state, to_state)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`
	// Both take a row's columns in the same order. What a request fixed is written again by later versions too, so that the
	// schema sees and refuses a change of it.
	insertGrant = `INSERT INTO grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at,
		lapses_at, expires_at, due_at, waiting, review, doc, review_due)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)`
	updateGrant = `UPDATE grants SET subject = ?2, owner = ?3, environment = ?4, pool = ?5, state = ?6, version = ?7, revision = ?8,
		requested_at = ?9, starts_at = ?10, lapses_at = ?11, expires_at = ?12, due_at = ?13, waiting = ?14, review = ?15, doc = ?16,
		review_due = ?17 WHERE id = ?1`
	insertLock = `INSERT INTO locks (id, subject, environment, pool, at, until, lifted_at, revision, doc)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`
	updateLock = `UPDATE locks SET subject = ?2, environment = ?3, pool = ?4, at = ?5, until = ?6, lifted_at = ?7, revision = ?8, doc = ?9
		WHERE id = ?1`
	forgetReplays = "DELETE FROM replays WHERE rowid IN (SELECT rowid FROM replays WHERE at < ?1 ORDER BY at LIMIT ?2)"
	insertReplay  = "INSERT INTO replays (caller, method, key, body, ref, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
)

var statements = []string{
	readHead, readGrant, readLive, readLast, readReplay, readLock, readLocks, insertEvent, insertGrant, updateGrant, insertLock,
	updateLock, forgetReplays, insertReplay,
}
