// Package grant holds the vocabulary of the domain: who (Subject), where (Pool), and a subject's access to a pool for a
// time (Grant) with the only ways in which it may change (Advance, the transition table).
//
// It is pure: no I/O, no clock, no randomness; time and identifiers come in as arguments. It imports nothing but the
// standard library, and everything else in the backend may import it.
package grant
