// Package dataplanetest is a Data Plane API in memory for tests, together with the HAProxy behind it: it answers as
// the real one was seen to, its traps included, and fails on demand.
//
// Memory and files of the maps are apart, and a reload fills the memory from the files. HAProxy can be down while the
// API is up. Servers come by transactions with versions. Every call can be met by a Fault. What it leaves out: the
// TLS and the form of the log of the real one, and all routes that the client does not use.
//
// It imports the client for its Entry type only; the routes and texts are written apart from the client's.
package dataplanetest
