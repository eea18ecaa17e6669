// Package policy decides who may ask for which pool, for how long, and who must approve. An Engine answers with a
// Decision; whatever goes wrong inside it is a refusal (I12).
//
// It is pure and imports grant and the standard library only.
package policy
