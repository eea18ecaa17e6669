package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy/policyfile"
)

// source is a document's text and where it was read.
type source struct {
	path string
	text []byte
}

// tried is a policy that compiles, and may fail tests of its own.
type tried struct {
	*policy.Policy
	sources []source
	failed  []policy.TestResult
}

// load reads files and folders, compiles all documents in them as one policy, and runs their tests.
func load(paths ...string) (tried, error) {
	sources, docs, err := parseAll(paths)
	if err != nil {
		return tried{}, err
	}
	compiled, results, err := policy.Check(docs...)
	if err != nil {
		return tried{}, err
	}
	p := tried{Policy: compiled, sources: sources}
	for _, r := range results {
		if r.Got != "" {
			p.failed = append(p.failed, r)
		}
	}
	return p, nil
}

// warn says which tests fail.
func (t terminal) warn(p tried) {
	for _, f := range p.failed {
		fmt.Fprintf(t.err, "%s: warning: test %q: %s\n", f.File, f.Name, plain(f.Got))
	}
	if len(p.failed) > 0 {
		fmt.Fprintln(t.err, "warning: a gateway refuses these documents: tests fail")
	}
}

// parseAll reads and parses; what is wrong is said of all of them together.
func parseAll(paths []string) ([]source, []*policy.Document, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, nil, err
	}
	var (
		sources []source
		docs    []*policy.Document
		errs    []error
	)
	for _, path := range files {
		text, err := policyfile.Read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		doc, err := policy.Parse(path, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sources, docs = append(sources, source{path, text}), append(docs, doc)
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	return sources, docs, nil
}

// expand replaces each folder by the documents in it, and names each file once.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		found := []string{path}
		if info.IsDir() {
			if found, err = documents(path); err != nil {
				return nil, err
			}
		}
		for _, file := range found {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// documents lists the documents of a folder, not those of folders in it. A folder without any is an error: a mistyped
// path must not pass for a policy that is well.
func documents(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	var files []string
	for _, e := range entries {
		if isDocument(e) {
			files = append(files, filepath.Join(folder, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: there is no document (*.yaml, *.yml) in this folder", folder)
	}
	return files, nil
}

// isDocument: hidden files are an editor's, or the folders behind a mounted ConfigMap.
func isDocument(e fs.DirEntry) bool {
	ext := filepath.Ext(e.Name())
	return !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && (ext == ".yaml" || ext == ".yml")
}
