package world

import "syscall"

// processAttributes puts a child into a process group of its own, so that Ctrl-C reaches the launcher only and a signal can
// reach all of the child, and ends it with its parent, also when that dies by SIGKILL.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
