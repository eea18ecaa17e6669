// Package pgproc runs a real Postgres as a child process, for tests and the demo, out of the programs that Debian's
// package installs. The cluster is a new one in a temporary directory, owned by an unprivileged user, reached through a
// unix socket in a directory that is that user's alone, and removed afterwards. It never touches a cluster of the system.
//
// The server dies with its parent, on Linux also when that is killed; a janitor, a shell that waits for the parent's end,
// then removes the files.
//
// It imports the standard library only.
package pgproc
