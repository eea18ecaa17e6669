package haproxyaccess

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy/policyfile"
)

const (
	defaultReload = 5 * time.Second
	defaultJudge  = time.Minute
	defaultMaxAge = 15 * time.Minute
	// maxPolicyFiles bounds what is read: a glob may match more than was meant.
	maxPolicyFiles = 200
)

// policyFiles keeps the policy in force in line with its files. A state of the files that is no policy, be it for one
// mistyped word, changes nothing: the old one stays in force as a whole.
type policyFiles struct {
	globs    []string
	current  *policy.Current
	observer *observer
	now      func() time.Time

	mu     sync.Mutex
	status access.PolicyStatus

	loaded [32]byte        // digest of the files that are in force
	rules  map[string]bool // the names of the documents in force that have rules
	seen   [32]byte        // of the last look
	failed [32]byte        // of the last state that was refused, so that it is refused aloud once
	// refusals are documents that were refused and are not in the log yet.
	refusals []access.PolicyRefusal
}

// maxRefusals bounds those that wait for the store. Beyond it the oldest are not recorded; they were said when they were refused.
const maxRefusals = 16

// readFiles reads all files of the policy, sorted by name.
func readFiles(globs []string) (files map[string][]byte, digest [32]byte, err error) {
	files = map[string][]byte{}
	for _, glob := range globs {
		names, err := filepath.Glob(glob)
		if err != nil {
			return nil, digest, fmt.Errorf("%s: %w", glob, err)
		}
		if len(names) == 0 {
			return nil, digest, fmt.Errorf("%s: there is no such file", glob)
		}
		for _, name := range names {
			if len(files) == maxPolicyFiles {
				return nil, digest, fmt.Errorf("%s: more than %d files", glob, maxPolicyFiles)
			}
			if files[name], err = policyfile.Read(name); err != nil {
				return nil, digest, err
			}
		}
	}
	h := sha256.New()
	for _, name := range sortedNames(files) {
		fmt.Fprintf(h, "%q:%d:", name, len(files[name]))
		h.Write(files[name])
	}
	return files, [32]byte(h.Sum(nil)), nil
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// compileFiles also answers the names of the documents that have rules.
func compileFiles(files map[string][]byte) (compiled *policy.Policy, withRules map[string]bool, err error) {
	var docs []*policy.Document
	var errs []error
	named := map[string]string{} // files to documents
	for _, name := range sortedNames(files) {
		doc, err := policy.Parse(name, files[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		docs = append(docs, doc)
		named[name] = doc.Name
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	if compiled, err = policy.Compile(docs...); err != nil {
		return nil, nil, err
	}
	withRules = map[string]bool{}
	for _, r := range compiled.Rules() {
		withRules[named[r.File[:strings.LastIndexByte(r.File, ':')]]] = true
	}
	return compiled, withRules, nil
}

// checkKept refuses a state of the files in which a document is gone that has rules in force: a checkout that stopped half
// way looks just like it, and the document may be one that denies. To take one away, leave it without rules first.
func (p *policyFiles) checkKept(files map[string][]byte) error {
	there := map[string]bool{}
	for name, text := range files {
		if doc, err := policy.Parse(name, text); err == nil {
			there[doc.Name] = true
		}
	}
	var gone []string
	for name := range p.rules {
		if !there[name] {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	return fmt.Errorf("the document %s is gone, whose rules are in force: to take it away, first leave it with \"rules: []\"",
		strings.Join(gone, ", "))
}

// newPolicyFiles loads the policy, which must be in order: a gateway does not start with none.
func newPolicyFiles(globs []string, o *observer, now func() time.Time) (*policyFiles, error) {
	p := &policyFiles{globs: globs, current: &policy.Current{}, observer: o, now: now}
	files, digest, err := settledFiles(globs)
	if err != nil {
		return nil, fmt.Errorf("policy.files: %w", err)
	}
	compiled, rules, err := compileFiles(files)
	if err != nil {
		return nil, fmt.Errorf("policy.files: %w", err)
	}
	p.inForce(compiled, rules, files, digest)
	return p, nil
}

// Two looks at the start, so far apart, must find the same files; within so many of them.
const (
	settleTime  = 200 * time.Millisecond
	settleLooks = 25
)

// settledFiles reads files that are at rest.
func settledFiles(globs []string) (map[string][]byte, [32]byte, error) {
	_, before, err := readFiles(globs)
	for range settleLooks {
		if err != nil {
			break
		}
		time.Sleep(settleTime)
		files, digest, again := readFiles(globs)
		if again == nil && digest == before {
			return files, digest, nil
		}
		before, err = digest, again
	}
	if err == nil {
		err = errors.New("the files are being written")
	}
	return nil, [32]byte{}, err
}

func (p *policyFiles) inForce(compiled *policy.Policy, rules map[string]bool, files map[string][]byte, digest [32]byte) {
	p.current.Set(compiled)
	p.rules = rules
	p.loaded, p.seen, p.failed = digest, digest, [32]byte{}
	name, hash := compiled.Version()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = access.PolicyStatus{
		Name: name, Hash: hash, Files: sortedNames(files), Rules: len(compiled.Rules()), LoadedAt: p.now().UTC(),
	}
}

// Status implements access.PolicySource.
func (p *policyFiles) Status() access.PolicyStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Files = slices.Clone(s.Files)
	return s
}

// look reads the files and loads them where they are others than those in force and the same as at the last look: what is
// being written, by a checkout of several files for instance, must not be taken for a policy without its last rules. It
// reports whether the policy has changed.
func (p *policyFiles) look() bool {
	files, digest, err := readFiles(p.globs)
	if err != nil {
		p.refuse(sha256.Sum256([]byte(err.Error())), err)
		return false
	}
	settled := digest == p.seen
	p.seen = digest
	switch {
	case digest == p.loaded:
		p.accept()
		return false
	case !settled || digest == p.failed:
		return false
	}
	compiled, rules, err := compileFiles(files)
	if err == nil {
		err = p.checkKept(files)
	}
	if err != nil {
		if p.refuse(digest, err) {
			p.refusals = append(p.refusals, access.PolicyRefusal{Files: sortedNames(files), Hash: contentHash(files), Error: err.Error()})
			p.refusals = p.refusals[max(0, len(p.refusals)-maxRefusals):]
		}
		return false
	}
	p.inForce(compiled, rules, files, digest)
	p.observer.policyLoaded()
	return true
}

// contentHash is the same on every gateway that has the same documents, wherever it keeps them.
func contentHash(files map[string][]byte) string {
	var sums []string
	for name, text := range files {
		sums = append(sums, fmt.Sprintf("%q:%x", filepath.Base(name), sha256.Sum256(text)))
	}
	slices.Sort(sums)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(sums, "\n"))))
}

// refuse keeps the old policy and is loud: once for each state of the files in the log, and all the time in the metrics
// and in what GetPolicy answers. It reports whether this is the first time.
func (p *policyFiles) refuse(digest [32]byte, err error) bool {
	p.observer.policyStale(true)
	if digest == p.failed {
		return false
	}
	p.failed = digest
	p.mu.Lock()
	p.status.Error, p.status.ErrorAt = err.Error(), p.now().UTC()
	p.mu.Unlock()
	p.observer.policyRefused(err)
	return true
}

// accept says that the files are those in force.
func (p *policyFiles) accept() {
	p.observer.policyStale(false)
	p.failed = [32]byte{}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Error, p.status.ErrorAt = "", time.Time{}
}

// follow is the pass of the loop that looks at the files again and again, records which policy is in force and which
// documents were refused, and then has the grants judged by what is in force: a gateway judges only by the policy that the
// log names last.
func (p *policyFiles) follow(use *access.Service) func(context.Context) error {
	recorded := true // at the start, by New
	return func(ctx context.Context) error {
		if p.look() {
			recorded = false
		}
		if !recorded {
			if err := use.PolicyInForce(ctx); err != nil {
				return err
			}
			recorded = true
			use.Poke()
		}
		return p.recordRefusals(ctx, use)
	}
}

func (p *policyFiles) recordRefusals(ctx context.Context, use *access.Service) error {
	for len(p.refusals) > 0 {
		if err := use.PolicyRefused(ctx, p.refusals[0]); err != nil {
			return fmt.Errorf("record that files were refused: %w", err)
		}
		p.refusals = p.refusals[1:]
	}
	return nil
}
