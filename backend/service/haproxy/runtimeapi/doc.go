// Package runtimeapi is a client of HAProxy's runtime API and of its master CLI, for what the Data Plane API cannot do:
// end streams that are already running, and reach the workers of before a reload.
//
// The commands go to a node's own sockets. Whoever reaches those rules that HAProxy, so every word that is sent passes
// one check (command.go), and no answer is believed that is not whole: HAProxy ends each with an empty line. The Data
// Plane API must never be told of the master socket (master_runtime): with HAProxy 2.6 it writes the master's help text
// into map files.
//
// It does not use client-native's runtime package: that one takes an answer that was cut for a whole one, has a fixed
// deadline of 30 s, and knows no TCP.
//
// It may import backend/desired and service/haproxy/haproxycfg, for the names of what is rendered.
package runtimeapi
