package pgproc

import "syscall"

// processAttributes puts the server into a group of its own, so that Ctrl-C reaches the tests only, and has it shut down
// at once, but in order, when its parent dies.
func processAttributes(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: as}
}
