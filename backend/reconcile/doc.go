// Package reconcile makes the nodes hold what the store says: one loop a node, level-triggered. A pass reads the store,
// looks at the node, removes, sets and adds what differs in the running maps, then in their files, looks again, and only
// then gives the lease. It never acts on an event: what to do follows from state alone.
//
// It imports desired and grant. What it needs of a node and of the store it names as interfaces here.
package reconcile
