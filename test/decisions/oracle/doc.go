// Package oracle is the decision side written a second time, as plainly as it can be: who may have what, who must say yes,
// what ends when. The property tests of package decisions compare the real one with it.
//
// It is slow on purpose (votes are tried out seat by seat) and keeps no secrets from its reader: maps, slices, one function
// a call. It imports the standard library alone, so that no line of the code under test can vouch for itself. What a
// condition of a policy means comes in as a function beside its text.
package oracle
