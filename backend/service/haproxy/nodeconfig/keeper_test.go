package nodeconfig

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// fakeNode is a node in memory. Its HAProxy refuses a text that names a file that is not there, or has the word "nonsense".
type fakeNode struct {
	text    string
	version int64
	maps    map[string]bool
	files   map[string]string
	dir     string
	log     []string
	rewrite func(string) string
	fail    string // the call that fails
}

var errFault = errors.New("fault")

func newNode(text string) *fakeNode {
	return &fakeNode{text: text, version: 1, maps: map[string]bool{}, files: map[string]string{}, dir: "/etc/x"}
}

func (n *fakeNode) call(name string) error {
	n.log = append(n.log, name)
	if n.fail == name {
		return errFault
	}
	return nil
}

func (n *fakeNode) RawConfiguration(context.Context) (string, int64, error) {
	return n.text, n.version, n.call("read")
}

func (n *fakeNode) PutRawConfiguration(_ context.Context, text string, version int64, validateOnly bool) error {
	name := "put"
	if validateOnly {
		name = "validate"
	}
	if err := n.call(name); err != nil {
		return err
	}
	for _, path := range []string{"a.map", "k.pem"} {
		if strings.Contains(text, path) && !n.maps[path] && n.files[path] == "" {
			return errors.New("no such file")
		}
	}
	if strings.Contains(text, "nonsense") {
		return errors.New("haproxy does not take it")
	}
	if validateOnly {
		return nil
	}
	if version != n.version {
		return errors.New("conflict")
	}
	if n.version++; n.rewrite != nil {
		text = n.rewrite(text)
	}
	n.text = text
	return nil
}

func (n *fakeNode) CreateMapFile(_ context.Context, name string) (string, error) {
	n.maps[name] = true
	return n.dir + "/" + name, n.call("map " + name)
}

func (n *fakeNode) StoredFile(_ context.Context, name string) ([]byte, string, bool, error) {
	text, there := n.files[name]
	return []byte(text), n.dir + "/" + name, there, n.call("look " + name)
}

func (n *fakeNode) StoreFile(_ context.Context, name string, text []byte) error {
	n.files[name] = string(text)
	return n.call("write " + name)
}

func part() Part {
	return Part{
		Sections: "frontend fe_ours\n  use a.map k.pem\n", Names: []string{"fe_ours"}, Maps: []string{"/etc/x/a.map"},
		Files: map[string][]byte{"/etc/x/p.html": []byte("page")}, Fixed: map[string][]byte{"/etc/x/k.pem": []byte("key")},
	}
}

const theirs = "global\n  daemon\nuserlist u\n  user x insecure-password hunter2\n"

func TestKeepPutsFilesFirstAndChecksBeforeItChanges(t *testing.T) {
	n := newNode(theirs)
	o, err := Keep(t.Context(), n, part())
	if err != nil || !o.Changed || n.text != theirs+"\n"+part().Sections {
		t.Fatalf("%+v, %v:\n%s", o, err, n.text)
	}
	want := "map a.map|look k.pem|write k.pem|look k.pem|look p.html|write p.html|look p.html|read|validate|put|read"
	if got := strings.Join(n.log, "|"); got != want {
		t.Errorf("calls %s\nwant  %s", got, want)
	}
	if !strings.Contains(o.Diff, "+  use a.map k.pem") || strings.Contains(o.Diff, "hunter2") {
		t.Errorf("diff:\n%s", o.Diff)
	}
	// I8: a second time reads only.
	n.log = nil
	if o, err := Keep(t.Context(), n, part()); err != nil || o.Changed || len(o.Wrote) > 0 {
		t.Errorf("a second time: %+v, %v", o, err)
	}
	if got := strings.Join(n.log, "|"); got != "map a.map|look k.pem|look p.html|read" {
		t.Errorf("a second time: %s", got)
	}
	// What somebody changed is put right, and a page too.
	n.text, n.files["p.html"] = strings.Replace(n.text, "k.pem", "", 1), "other"
	if o, err := Keep(t.Context(), n, part()); err != nil || !o.Changed || n.files["p.html"] != "page" || !strings.Contains(n.text, "k.pem") {
		t.Errorf("repaired: %+v, %v", o, err)
	}
}

func TestKeepChangesNothingOfWhatHAProxyRefuses(t *testing.T) {
	p := part()
	p.Sections = "frontend fe_ours\n  nonsense\n"
	n := newNode(theirs)
	if o, err := Keep(t.Context(), n, p); err == nil || o.Changed || n.text != theirs || strings.Contains(strings.Join(n.log, "|"), "put") {
		t.Errorf("%+v, %v: %v", o, err, n.log)
	}
}

func TestKeepStopsAtWhatItCannotDo(t *testing.T) {
	for call := range strings.SplitSeq("map a.map|look k.pem|write k.pem|look p.html|write p.html|read|validate|put", "|") {
		n := newNode(theirs)
		n.fail = call
		o, err := Keep(t.Context(), n, part())
		if !errors.Is(err, errFault) || o.Changed || call != "put" && n.text != theirs {
			t.Errorf("%s fails: %+v, %v", call, o, err)
		}
	}
	n := newNode(theirs)
	n.files["k.pem"] = "another key"
	if _, err := Keep(t.Context(), n, part()); !errors.Is(err, ErrFixed) || n.files["k.pem"] != "another key" {
		t.Errorf("a key is there: %v", err)
	}
	n = newNode(theirs)
	n.dir = "/elsewhere"
	if _, err := Keep(t.Context(), n, part()); !errors.Is(err, ErrPlace) || n.text != theirs {
		t.Errorf("files elsewhere: %v", err)
	}
	n = newNode(theirs)
	n.rewrite = func(string) string { return theirs }
	if _, err := Keep(t.Context(), n, part()); !errors.Is(err, ErrNotKept) {
		t.Errorf("lost: %v", err)
	}
}

func TestPreviewChangesNothing(t *testing.T) {
	n := newNode(theirs)
	n.maps["a.map"], n.files["k.pem"] = true, "key"
	diff, err := Preview(t.Context(), n, part(), true)
	if err != nil || !strings.Contains(diff, "+  use a.map k.pem") || strings.Contains(diff, "hunter2") {
		t.Fatalf("%v:\n%s", err, diff)
	}
	if got := strings.Join(n.log, "|"); got != "read|validate" || n.text != theirs {
		t.Errorf("calls %s", got)
	}
	n.text += part().Sections
	if diff, err := Preview(t.Context(), n, part(), false); diff != "" || err != nil {
		t.Errorf("it is there: %q, %v", diff, err)
	}
}
