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

// load reads files and folders and compiles all documents in them as one policy, tests included.
func load(paths ...string) (*policy.Policy, []source, error) {
	sources, docs, err := parseAll(paths)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := policy.Compile(docs...)
	if err != nil {
		return nil, nil, err
	}
	return compiled, sources, nil
}

// loadTried is load where a policy is asked about that need not pass its tests. failed says which do not.
func loadTried(paths ...string) (compiled *policy.Policy, failed []policy.TestResult, err error) {
	_, docs, err := parseAll(paths)
	if err != nil {
		return nil, nil, err
	}
	compiled, results, err := policy.Check(docs...)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range results {
		if r.Got != "" {
			failed = append(failed, r)
		}
	}
	return compiled, failed, nil
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
