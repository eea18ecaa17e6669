package nodeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Node is a node's haproxy.cfg and the files beside it. Its errors hold no secret.
type Node interface {
	// RawConfiguration reads the whole of haproxy.cfg, and the version by which it can be replaced.
	RawConfiguration(ctx context.Context) (text string, version int64, err error)
	// PutRawConfiguration replaces it, if version is still the present one, and reloads HAProxy, which validates it before it
	// takes effect; with validateOnly it is validated, and nothing is changed. What fails is undone.
	PutRawConfiguration(ctx context.Context, text string, version int64, validateOnly bool) error
	// CreateMapFile makes an empty map file, unless it is there. It answers where it lies on the node.
	CreateMapFile(ctx context.Context, name string) (path string, err error)
	// StoredFile reads a file beside the configuration, and where it lies. there is false by the node's own word only.
	StoredFile(ctx context.Context, name string) (text []byte, path string, there bool, err error)
	// StoreFile writes one, and reloads nothing.
	StoreFile(ctx context.Context, name string, text []byte) error
}

// Part is what a node is to have of us.
type Part struct {
	// Sections are our sections of haproxy.cfg; Names are all that sections of ours ever have, so that one that is not wanted
	// any more is taken out.
	Sections string
	Names    []string
	// Maps are the paths of the map files, which must be there before HAProxy reads the sections.
	Maps []string
	// Files are others, by path. Fixed ones are never written again with another text: keys.
	Files, Fixed map[string][]byte
}

// Outcome is what Keep did.
type Outcome struct {
	Changed bool   // the configuration was replaced, and HAProxy reloaded
	Diff    string // of our sections
	Wrote   []string
}

// Errors of Keep. What a node answers is wrapped beside them.
var (
	// ErrPlace: the node keeps a file elsewhere than the sections say.
	ErrPlace = errors.New("the node keeps it elsewhere than the configuration of the gateway says")
	// ErrFixed: a key's file is there with another text.
	ErrFixed = errors.New("it is there with another text, and is never overwritten")
	// ErrNotKept: after the change the sections are not those that were written.
	ErrNotKept = errors.New("the configuration was replaced, but does not have our sections as they were written")
)

// Keep makes the node have the part: first the files, then the sections, which HAProxy checks before anything changes.
// A node that has it is only read.
func Keep(ctx context.Context, n Node, p Part) (Outcome, error) {
	var o Outcome
	if err := p.keepFiles(ctx, n, &o); err != nil {
		return o, err
	}
	text, version, err := n.RawConfiguration(ctx)
	if err != nil {
		return o, fmt.Errorf("read haproxy.cfg: %w", err)
	}
	if Same(text, p.Sections, p.Names...) {
		return o, nil
	}
	fresh, err := Splice(text, p.Sections, p.Names...)
	if err != nil {
		return o, fmt.Errorf("put our sections into haproxy.cfg: %w", err)
	}
	if err := n.PutRawConfiguration(ctx, fresh, version, true); err != nil {
		return o, fmt.Errorf("let haproxy check our sections: %w", err)
	}
	o.Diff = p.diff(text)
	if err := n.PutRawConfiguration(ctx, fresh, version, false); err != nil {
		return o, fmt.Errorf("replace haproxy.cfg: %w", err)
	}
	o.Changed = true
	if text, _, err = n.RawConfiguration(ctx); err != nil {
		return o, fmt.Errorf("read haproxy.cfg again: %w", err)
	}
	if !Same(text, p.Sections, p.Names...) {
		return o, ErrNotKept
	}
	return o, nil
}

// Preview is what Keep would change in our sections of haproxy.cfg, as a unified diff; empty if nothing. It changes
// nothing, and has HAProxy check the result if check is set, for which the files must be there already.
func Preview(ctx context.Context, n Node, p Part, check bool) (string, error) {
	text, version, err := n.RawConfiguration(ctx)
	if err != nil {
		return "", fmt.Errorf("read haproxy.cfg: %w", err)
	}
	if Same(text, p.Sections, p.Names...) {
		return "", nil
	}
	fresh, err := Splice(text, p.Sections, p.Names...)
	if err != nil {
		return "", fmt.Errorf("put our sections into haproxy.cfg: %w", err)
	}
	if check {
		if err := n.PutRawConfiguration(ctx, fresh, version, true); err != nil {
			return p.diff(text), fmt.Errorf("let haproxy check our sections: %w", err)
		}
	}
	return p.diff(text), nil
}

// diff is of our sections alone: the rest of the file may hold secrets.
func (p Part) diff(config string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(Ours(config, p.Sections, p.Names...)), B: difflib.SplitLines(strings.TrimRight(bare(p.Sections), "\n")),
		FromFile: "on the node", ToFile: "rendered", Context: 2,
	})
	if err != nil {
		return "" // of two texts in memory
	}
	return text
}

func (p Part) keepFiles(ctx context.Context, n Node, o *Outcome) error {
	for _, path := range p.Maps {
		at, err := n.CreateMapFile(ctx, base(path))
		if err != nil {
			return fmt.Errorf("make map file %s: %w", base(path), err)
		}
		if at != path {
			return fmt.Errorf("map file %s: %w: %s", path, ErrPlace, at)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(p.Fixed)) {
		if err := keepFile(ctx, n, path, p.Fixed[path], true, o); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(p.Files)) {
		if err := keepFile(ctx, n, path, p.Files[path], false, o); err != nil {
			return err
		}
	}
	return nil
}

func keepFile(ctx context.Context, n Node, path string, want []byte, fixed bool, o *Outcome) error {
	have, at, there, err := n.StoredFile(ctx, base(path))
	if err != nil {
		return fmt.Errorf("read file %s: %w", base(path), err)
	}
	switch {
	case there && at != path:
		return fmt.Errorf("file %s: %w: %s", path, ErrPlace, at)
	case there && bytes.Equal(have, want):
		return nil
	case there && fixed:
		return fmt.Errorf("file %s: %w", path, ErrFixed)
	}
	if err := n.StoreFile(ctx, base(path), want); err != nil {
		return fmt.Errorf("write file %s: %w", base(path), err)
	}
	o.Wrote = append(o.Wrote, path)
	have, at, there, err = n.StoredFile(ctx, base(path))
	switch {
	case err != nil:
		return fmt.Errorf("read file %s again: %w", base(path), err)
	case !there || !bytes.Equal(have, want):
		return fmt.Errorf("file %s is not what was written", path)
	case at != path:
		return fmt.Errorf("file %s: %w: %s", path, ErrPlace, at)
	}
	return nil
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
