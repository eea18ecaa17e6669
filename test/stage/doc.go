// Package stage drives a running world as people and programs do, through its public interfaces alone: they log in at the
// identity provider, call the gateway's API, and visit the pools through every HAProxy. The end-to-end tests and the lab stand
// on it.
//
// It is for tests: what cannot happen fails the test.
package stage
