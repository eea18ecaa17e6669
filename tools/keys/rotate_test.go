package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestRotateRetiresTheKeyThatLeaked(t *testing.T) {
	p := newPlace(t)
	leaked := p.init(t)
	before := p.do(t, "public")
	out := p.do(t, "rotate")
	if !strings.HasPrefix(out, "signing key "+leaked+" was retired\n") || !strings.HasSuffix(out, " was made\n") {
		t.Errorf("rotate prints %q", out)
	}
	after := p.do(t, "public")
	if after == before || strings.Count(after, "BEGIN PUBLIC KEY") != 1 {
		t.Errorf("published:\n%s", after)
	}
	list := p.do(t, "list")
	if !strings.Contains(list, leaked+" RS256 retired") || strings.Count(list, " current ") != 1 {
		t.Errorf("list:\n%s", list)
	}
	// Nothing is retired by an encryption key that others may have read, nor without one: there would be no key to sign with.
	if err := os.Chmod(p.keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"rotate", "init"} {
		err := run(t.Context(), p.config, command, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), p.keyFile) || !strings.Contains(err.Error(), "0644") {
			t.Errorf("%s with a key file that everybody can read: %v", command, err)
		}
	}
	if err := os.Remove(p.keyFile); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), p.config, "rotate", &bytes.Buffer{}); err == nil {
		t.Error("rotated without an encryption key")
	}
	if got := p.do(t, "public"); got != after {
		t.Error("the key was retired")
	}
}
