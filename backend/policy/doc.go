// Package policy decides who may ask for which pool, for how long, and who must approve. A policy is a set of YAML
// documents with CEL conditions: Parse reads one, Compile makes a Policy of all and runs the tests that stand in them, and
// the Policy answers each Request with a Decision. Whatever goes wrong on the way is a refusal (I12).
//
// It reads no file and no clock: the text, the facts and the time come in as arguments. It imports grant, CEL, a YAML
// library and the standard library; the zone database is embedded, so that office hours do not depend on the machine.
package policy
