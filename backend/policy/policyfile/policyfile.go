// Package policyfile reads a policy's files, for the gateway and for the tool that says beforehand what the gateway will
// take: one rule for both.
//
// It imports the standard library alone.
package policyfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// most is how many bytes of a file are read: a pattern may match more than was meant. Policy's own bound is below.
const most = 1 << 20

// others may write: anybody on the machine.
const others = 0o002

// Read reads one file. It refuses what anybody on the machine could write, be it by the folder: whoever writes the policy
// gives the access. Errors name the file.
func Read(name string) ([]byte, error) {
	if err := checkFolder(filepath.Dir(name)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not keep us waiting
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a file", name)
	case info.Mode().Perm()&others != 0:
		return nil, fmt.Errorf("%s: anybody may write to it: chmod o-w it", name)
	}
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > most {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, most)
	}
	return raw, nil
}

// checkFolder refuses a folder in which anybody could put a file.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&others != 0 {
		return fmt.Errorf("%s: anybody may put files into this folder: chmod o-w it", dir)
	}
	return nil
}
