// Package reconcile makes the nodes of a fleet hold what the store says: one loop a node, level-triggered. A pass reads
// the store, looks at the node, removes, changes and adds what differs in the running maps and their files, looks again,
// and only then gives the lease. It never acts on an event: what to do follows from state alone.
//
// Among several gateways one writes to a node, the one that holds its tenure; the others read what it publishes.
//
// It imports desired and grant. What it needs of a node, of the store and of other gateways it names as interfaces here.
package reconcile
