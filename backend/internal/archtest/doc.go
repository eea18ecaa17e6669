// Package archtest holds the project to the rules of docs/architecture.md: who may import whom, who may read the clock,
// and the form of packages. It has no code beside its tests, imports nothing but the standard library, and reads the
// source as text, so it also sees files of other operating systems.
package archtest
