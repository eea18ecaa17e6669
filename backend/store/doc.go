// Package store says what is kept and how it is asked for: grants, the log of their events, idempotency keys, signing
// keys, the embedded audit log and the sinks' positions. The drivers are in its subfolders; storetest is the suite that
// each of them passes.
//
// It imports grant and the standard library. Package access is the only writer of grants and events, credential of keys,
// service/audit of audit rows and audit of positions: each of them is handed the one interface that it needs.
package store
