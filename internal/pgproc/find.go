package pgproc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// installed is where Debian keeps the programs of each major version, outside of PATH.
const installed = "/usr/lib/postgresql/*/bin"

// Find returns the directory with initdb and postgres: the one in PATH, else that of the newest version that Debian's
// packages have installed.
func Find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && complete(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	dirs, err := filepath.Glob(installed)
	if err != nil {
		return "", err // the pattern is wrong
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !complete(dir) })
	if len(dirs) == 0 {
		return "", errors.New("find postgres: initdb and postgres are neither in PATH nor at " + installed +
			": install Debian's package postgresql (tools/setup/setup.sh test does)")
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return major(a) - major(b) }), nil
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// major is the version in /usr/lib/postgresql/15/bin.
func major(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}
