// Package soak runs a gateway for a long time under grants, revokes and reloads, and sees that it does not grow: neither its
// memory, nor its goroutines, nor its descriptors. With NIGHTLY set it takes ten minutes.
//
// All of it is tests; it may import anything.
package soak
