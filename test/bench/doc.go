// Package bench measures the fleet: how soon a grant opens and a revoke closes, what it costs, and what a request costs in
// HAProxy. "make bench-fleet" runs it whole and prints a table; go test runs it in small, so that it cannot rot. What the
// figures mean is in docs/performance.md.
//
// All of it is tests; it may import anything.
package bench
