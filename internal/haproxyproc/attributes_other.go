//go:build unix && !linux

package haproxyproc

import "syscall"

// processAttributes puts the master into a group of its own, which its workers
// inherit. Only Linux can also end it with its parent.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
