// Package desired says what a node must hold, and what to change so that it does: Build and Diff are functions of their
// arguments alone.
//
// It imports grant and the standard library.
package desired
