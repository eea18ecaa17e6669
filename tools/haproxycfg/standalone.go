package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// writeStandalone writes a complete set and checks it: by the preflight, and by HAProxy itself where it is installed.
func writeStandalone(o options, in haproxycfg.Input, stdout, stderr io.Writer) error {
	dir, err := filepath.Abs(o.standalone)
	if err != nil {
		return fmt.Errorf("find directory: %w", err)
	}
	if keys := filepath.Join(dir, "keys"); in.KeysDir != keys {
		fmt.Fprintf(stderr, "haproxycfg: warning: enforcement.keys_dir is %s, the keys are in %s: a gateway with this configuration would point kids.map to files that this HAProxy has not read\n", in.KeysDir, keys)
	}
	files, err := haproxycfg.Render(relocate(in, dir))
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "haproxy.cfg")
	if err := writeFiles(dir, files, o.force); err != nil {
		return err
	}
	if err := replaceFile(config, files.Standalone, 0o600); err != nil {
		return err
	}
	if err := preflight(config); err != nil {
		return err
	}
	if err := checkByHAProxy(config, stderr); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, config)
	return err
}

// relocate puts everything under dir. A runtime socket that the configuration names stays where it is.
func relocate(in haproxycfg.Input, dir string) haproxycfg.Input {
	in.MapsDir, in.KeysDir, in.PagesDir = filepath.Join(dir, "maps"), filepath.Join(dir, "keys"), filepath.Join(dir, "pages")
	standalone := haproxycfg.Standalone{Log: "stdout"}
	if in.Standalone != nil {
		standalone = *in.Standalone
	}
	if standalone.StatsSocket == "" {
		standalone.StatsSocket = filepath.Join(dir, "admin.sock")
	}
	in.Standalone = &standalone
	return in
}

// writeFiles writes maps, keys and pages. Maps name who has access to what: they are the owner's alone.
func writeFiles(dir string, files haproxycfg.Files, force bool) error {
	for sub, content := range map[string]map[string][]byte{"maps": files.Maps, "keys": files.Keys, "pages": files.Pages} {
		sub := filepath.Join(dir, sub)
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return fmt.Errorf("create directory: %w", err)
		}
		for name, text := range content {
			file := filepath.Join(sub, name)
			keep, err := keeps(file, name, force)
			if err != nil {
				return err
			}
			if keep {
				continue
			}
			if err := replaceFile(file, text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// keeps says whether a file has rows that only the gateway may remove.
func keeps(file, name string, force bool) (bool, error) {
	if force || name != string(desired.Grants) && name != string(desired.Leases) {
		return false, nil
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at map: %w", err)
	}
	return info.Size() > 0, nil
}

// replaceFile writes a file as a whole or not at all: HAProxy may be reading the old one.
func replaceFile(file string, text []byte, mode fs.FileMode) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", file, err), os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

// checkByHAProxy lets HAProxy read the configuration. Without HAProxy on this machine nothing is lost but this check.
func checkByHAProxy(config string, stderr io.Writer) error {
	binary, err := haproxyproc.Find()
	if err != nil {
		fmt.Fprintln(stderr, "haproxycfg: haproxy is not installed here, so it has not read the configuration")
		return nil
	}
	// -dW: HAProxy only warns of a key that it cannot read
	if text, err := exec.Command(binary, "-c", "-dW", "-f", config).CombinedOutput(); err != nil {
		return fmt.Errorf("haproxy refuses %s: %w: %s", config, err, strings.TrimSpace(string(text)))
	}
	return nil
}
