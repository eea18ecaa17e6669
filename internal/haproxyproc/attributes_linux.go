package haproxyproc

import "syscall"

// processAttributes puts the master into a group of its own, which its workers
// inherit, and ends it with its parent, also when that dies by SIGKILL.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
