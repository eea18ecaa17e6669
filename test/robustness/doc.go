// Package robustness holds a simulation of a fleet of a hundred nodes and more: real loops of reconcile, over models of
// HAProxy, of a faulty Data Plane API, of the store, and of several gateways that may be killed or stopped. All that
// happens follows from a seed, under a clock of its own; a judge that knows nothing of the code under test holds every
// step to the invariants of docs/architecture.md, by the log of what was committed.
//
// A seed that fails is printed with the command that runs it again. Put it into testdata/seeds: it is run ever after.
package robustness
