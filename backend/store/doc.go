// Package store says what is kept and how it is asked for: grants, the log of their events, locks, logins, idempotency
// keys, signing keys, the embedded audit log and the sinks' positions. The drivers are in its subfolders, sqlite and
// postgres, beside what they share: batch takes changes together and judges them, sqlstore has the SQL that is the same.
// storetest is the suite that each driver passes.
//
// It imports grant and the standard library. Package access is the only writer of grants, events, locks and logins,
// credential of keys, service/audit of audit rows and audit of positions: each of them is handed the interfaces that it
// needs.
package store
