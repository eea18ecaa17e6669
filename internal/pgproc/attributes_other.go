//go:build unix && !linux

package pgproc

import "syscall"

// processAttributes puts the server into a group of its own, so that Ctrl-C reaches the tests only. Only Linux can also
// end it with its parent.
func processAttributes(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as}
}
