// Package lab breaks a running fleet, and watches through every HAProxy at once whom it admits.
//
// The world is that of the demo: three real HAProxies with a data plane each, behind lines that a test can cut, and gateways.
// While a scenario runs a prober asks every node 200 times a second with each of the tokens that it was given; then its log is
// joined with the gateway's record of events, and no request may have been admitted outside a grant.
package lab
