// Package haproxyproc runs a real HAProxy as a child process in master-worker
// mode, for tests, the demo and tools. It is not how a production HAProxy is
// started: that is the service manager's work.
//
// The master runs in the foreground in a process group of its own, so that it
// and every worker it forks can be ended together and nothing else is ever
// signalled. On Linux the master dies with its parent; its workers end by
// themselves when the master is gone.
//
// It imports the standard library only.
package haproxyproc
