package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// sectionsFile is the part of haproxy.cfg that is rendered, in a set for a node that has an HAProxy already.
const sectionsFile = "access.cfg"

// writeNodeFiles writes what a node with an HAProxy of its own must get. Other than a standalone set it is no place that
// HAProxy starts from: paths in it are those that the configuration names, wherever the files lie for now.
func writeNodeFiles(o options, in haproxycfg.Input, stdout io.Writer) error {
	in.Standalone = nil
	files, err := haproxycfg.Render(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.files, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	if err := writeFiles(o.files, files, o.force); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(o.files, sectionsFile), files.Enforcement, 0o600); err != nil {
		return err
	}
	for _, line := range []struct{ from, to string }{
		{"maps", in.MapsDir}, {"keys", in.KeysDir}, {"pages", in.PagesDir}, {sectionsFile, "the end of haproxy.cfg"},
	} {
		if _, err := fmt.Fprintf(stdout, "%s -> %s\n", filepath.Join(o.files, line.from), line.to); err != nil {
			return err
		}
	}
	return nil
}
