// Package dataplane is the client of the HAProxy Data Plane API, through which everything is read from a node and
// written to it: the worker that runs, the entries of a map in memory, the map's file, the servers of a backend, and
// haproxy.cfg as a whole.
//
// It speaks /v2 and /v3, and asks the node which (discover.go); all that differs between them is in a dialect.
//
// The API has sharp edges, and this package is where they end:
//
//   - a newline in a key runs further commands, so names, keys and values are checked against one alphabet (check.go)
//     before anything is sent;
//   - a stopped HAProxy answers 404 as a missing key does, so a 404 means "not there" only where its message says so;
//   - a change in memory is not on disk: memory and file are separate calls, and force_sync, which corrupts files, is
//     never used;
//   - a bulk call loses, doubles or merely adds lines at some lengths of the payload: it is sent in others (bulk.go);
//   - a server that is added without a reload stays in maintenance, and an answer is no proof that anything runs: what
//     runs is looked at;
//   - a change whose reload failed stays in the API's memory, and comes with the next commit of anybody: it is undone;
//   - the body of a 401 repeats the password: it is not read, and no error of this package holds the password, the
//     Authorization header, a key, or an address with user information.
//
// A Client is safe for concurrent use. It holds no lock over a call, but that one asks for the dialect at a time: one
// writer a node is the caller's duty, since the API itself loses and doubles entries when two callers write the same map.
//
// It imports the standard library, client-native's models, and of this project secretfile alone.
package dataplane
