// Package haproxycfg renders the enforcement part of haproxy.cfg: the frontend that proves an identity and looks up the
// grant on every request, the backend that refuses, the pages and maps that they need, and, for a standalone HAProxy,
// the rest of the file. The text of the rules is in templates/enforcement.cfg.tmpl; read that first.
//
// It is pure: no I/O, no clock. It may import backend/desired, the generated configuration and go-jose, and is imported
// by service/haproxy, which reconciles the same tables, and by tools.
package haproxycfg
