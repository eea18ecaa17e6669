// Package tokencorpus is one table of good and bad tokens, and what a verifier must say to each. HAProxy's rules and the
// Go verifier are judged by the same table, so that the two agree.
//
// The oracle is the table alone: bad tokens are put together from bytes here, without the code that is tested. It may
// import the standard library and go-jose, and is imported by tests only.
package tokencorpus
