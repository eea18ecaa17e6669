// Package operations holds docs/operations.md to the code: its tables name every metric and every line of the log that a
// person may have to act upon, and nothing else. It has no code beside its tests, and imports nothing of this project.
package operations
