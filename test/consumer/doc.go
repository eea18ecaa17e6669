// Package consumer builds a gateway in a module of its own, out of nothing but what the README says: a module inherits no
// replacement from those that it requires, so that this repository builds proves nothing for others. It has no code beside
// its test, and imports nothing of this project.
package consumer
