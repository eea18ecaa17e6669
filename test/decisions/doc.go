// Package decisions tests the decision side as a whole: access over a real store, with policy from documents. It has no
// code beside its tests.
//
// Random organisations, policies, clocks and callers go through the real thing and through package oracle, which must
// agree after each step. What must hold whatever is done is read out of the event log alone, also after callers that race.
// And the tests are themselves tested: each of many bugs, planted one at a time, must make them fail.
package decisions
