// Package access holds the use cases: who calls, preview, request, approve, deny, withdraw, extend, review, revoke and give
// up, lock, read grants and their log, issue a token, and what the clock, policy and lost groups do to grants. It is the
// only writer of grants and events, and the one place where permission is judged.
//
// It imports grant, policy and store. What it needs of the outside (nodes, tokens, groups, a clock) it names as interfaces
// here, and the services hand it in.
package access
