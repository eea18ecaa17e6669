// Package world runs the small world of the demo and of the end-to-end tests on loopback: a real HAProxy with the pools of
// two environments and demo services behind it, a data plane, an identity provider for development, and a Clutch gateway
// with this plugin. Every part is a child process out of a built program, as it would be outside, so that a test can kill
// one and start it again.
//
// A World keeps all of its state in one directory. Its children die with it, also when it is killed by SIGKILL, and what is
// left of an earlier world in the same directory is ended when the next one starts.
//
// It imports internal/haproxyproc, and nothing else of the project: it knows the programs by their command lines, their
// configuration files and their HTTP interfaces only.
package world
