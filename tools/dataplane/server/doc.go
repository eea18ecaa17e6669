// Package server is a small Data Plane API: it speaks the part of /v2 that this
// project's client uses, over the configuration, runtime and storage packages
// of client-native, and drives a real HAProxy. It is for trying and testing,
// not for production; there the real HAProxy Data Plane API belongs.
//
// It answers as the real one (2.9) was measured to answer, odd cases included:
// a DELETE of a map entry answers 404 for an unknown key and also when HAProxy
// is down, and only the text tells which; runtime/info answers 200 with an
// error field then; a bulk PUT adds below 8 KiB and replaces above, and loses a
// last line that begins a new chunk; a change of a map is not in its file; a
// reload that fails after a valid commit puts the old file back while the API
// still remembers the change.
//
// The one deliberate difference: a line break or other control character, or
// HAProxy's payload mark "<<", anywhere in a path, a query, a map key or a value
// is refused with 400. The real one hands it to HAProxy, which runs what follows
// as commands of its own or blocks the command socket.
//
// What it leaves out: force_sync, which answers 400, since our client never
// sends it; unlisted routes and methods, which answer 404; runtime changes
// instead of a reload when a server is replaced; a raw configuration without a
// version or a reload; and the echo of the password in the answer to a failed
// login.
//
// It may import client-native and internal/haproxyproc; nothing imports it but
// its command and tests.
package server
