package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs are those that a World runs, by the names of their files.
var Programs = []string{"gateway", "keys", "migrate", "haproxycfg", "devidp", "demoservice", "dataplane"}

// Build builds programs of this module into dir with the go command, which does nothing where they are up to date. The
// working directory must be inside the module.
func Build(ctx context.Context, dir string, names ...string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	for _, name := range names {
		source := "./tools/" + name
		if name == "gateway" {
			source = "./backend"
		}
		// No stamp of the revision: it fails where the checkout belongs to another user.
		command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), source)
		command.Dir = root
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, bytes.TrimSpace(output))
		}
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	file := strings.TrimSpace(string(output))
	if file == "" || file == os.DevNull {
		return "", errors.New("find module: the working directory is in none")
	}
	return filepath.Dir(file), nil
}
