// Package access holds the use cases: preview, request, approve, deny, revoke and give up, read, issue a token, and what
// the clock does to grants. It is the only writer of grants and events, and the one place where permission is judged.
//
// It imports grant, policy and store. What it needs of the outside (nodes, tokens, a clock) it names as interfaces here,
// and the services hand it in.
package access
