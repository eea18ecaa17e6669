// Package nodeconfig keeps the enforcement part of a node's haproxy.cfg as it is rendered: it puts our sections into the
// file in the place of those that are there, leaves every other byte as it was (I13), and lets HAProxy check the whole
// before it takes effect.
//
// It imports the standard library and a library for diffs; what it needs of a node it names as an interface.
package nodeconfig
