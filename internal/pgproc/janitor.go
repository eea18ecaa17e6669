package pgproc

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// janitor removes a cluster's files when this process ends, however it does: its standard input is then at its end. It
// waits for the server first, which takes its pid file with it.
type janitor struct {
	cmd   *exec.Cmd
	input io.Closer
}

const janitorScript = `cat >/dev/null; n=0; while [ -e "$1/data/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; rm -rf "$1"`

func startJanitor(dir string) (*janitor, error) {
	cmd := exec.Command("/bin/sh", "-c", janitorScript, "janitor", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests
	cmd.Dir = "/"
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start janitor: %w", err), input.Close())
	}
	return &janitor{cmd: cmd, input: input}, nil
}

func (j *janitor) finish() error {
	return errors.Join(j.input.Close(), j.cmd.Wait())
}
