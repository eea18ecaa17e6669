package policy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	// The successor of gopkg.in/yaml.v3, kept by the YAML organisation. Its nodes carry a line and a column and nothing of
	// them is expanded or converted until this package does so: strictness, and bounds on aliases, are a walk over a tree.
	"go.yaml.in/yaml/v3"
)

// Bounds of a document.
const (
	MaxDocument = 256 << 10 // bytes
	MaxRules    = 2000      // of all documents together
	MaxTests    = 2000      // of one document
	maxDepth    = 16        // of the tree; the deepest legal document has 8
	maxList     = 100       // elements of any list but rules and tests
	maxText     = 4096      // bytes of any text
)

// decoder turns the tree of a YAML document into Go values. It goes on after a problem, so that all are told at once.
type decoder struct {
	problems
	file string
	text []byte
}

func (d *decoder) wrong(n *yaml.Node, format string, args ...any) {
	d.add(d.file, positionOf(n), format, args...)
}

func positionOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// tree reads the one YAML document of the text. It returns nil if there is a problem.
func (d *decoder) tree() (root *yaml.Node) {
	if !d.plain() {
		return nil
	}
	defer func() {
		// The library panics on some inputs that it does not expect; a document is input.
		if r := recover(); r != nil {
			at, _ := d.broken()
			d.add(d.file, at, "this is not a YAML document")
			root = nil
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.add(d.file, position{}, "the document is empty")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		d.wrong(&second, "there is one document in a file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}
	if len(first.Content) != 1 || !d.harmless(first.Content[0], 0) {
		return nil
	}
	return first.Content[0]
}

// plain holds what the library says without a place: size, encoding, and characters that nobody sees in a review.
func (d *decoder) plain() bool {
	if len(d.text) > MaxDocument {
		d.add(d.file, position{}, "a document has at most %d bytes", MaxDocument)
		return false
	}
	at := position{1, 1}
	for rest := d.text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			d.add(d.file, at, "this is not UTF-8")
			return false
		case r == '\n':
			at = position{at.line + 1, 0}
		case r == '\r' && n < len(rest) && rest[n] == '\n':
		case r < ' ' && r != '\t' || r == 0x7f || r == 0xfeff || 0x80 <= r && r < 0xa0 || bidirectional(r):
			d.add(d.file, at, "the character %U is not allowed", r)
			return false
		}
		at.column++
		rest = rest[n:]
	}
	return true
}

// bidirectional reports whether r changes the order in which a line is shown: a reviewer would read another rule than the
// one that is in force. The line separators do the like.
func bidirectional(r rune) bool {
	return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || 0x200e <= r && r <= 0x200f || r == 0x61c || 0x2028 <= r && r <= 0x2029
}

// harmless holds the bounds of the tree, and that it means what it shows: no alias (a few of them make a document of any
// size), no anchor, no merge of mappings, no tag.
func (d *decoder) harmless(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		d.wrong(n, "this is nested too deeply")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.wrong(n, "anchors and aliases are not allowed")
	case n.Style&yaml.TaggedStyle != 0:
		d.wrong(n, "tags are not allowed")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge":
		d.wrong(n, "merge keys are not allowed")
	case n.Kind == yaml.ScalarNode && len(n.Value) > maxText:
		d.wrong(n, "a text has at most %d bytes", maxText)
	default:
		ok := true
		for _, child := range n.Content {
			ok = d.harmless(child, depth+1) && ok
		}
		return ok
	}
	return false
}

// fields are what an object may hold: what to do with the value of each.
type fields map[string]func(*yaml.Node)

// object goes through a mapping. Unknown and doubled fields are problems, and so is a missing one that is required.
func (d *decoder) object(n *yaml.Node, f fields, required ...string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "want fields here: %s", f.names())
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		decode, known := f[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !known:
			d.wrong(key, "unknown field %q; here are: %s", clip(key.Value), f.names())
		case seen[key.Value]:
			d.wrong(key, "%s stands here twice", key.Value)
		default:
			decode(value)
		}
		seen[key.Value] = true
	}
	for _, name := range required {
		if !seen[name] {
			d.wrong(n, "%s is missing", name)
		}
	}
}

func (f fields) names() string {
	var names []string
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// list calls decode for each element of a sequence of 1 to at most elements.
func (d *decoder) list(n *yaml.Node, most int, decode func(*yaml.Node)) {
	switch {
	case n.Kind != yaml.SequenceNode:
		d.wrong(n, "want a list")
	case len(n.Content) == 0:
		d.wrong(n, "the list is empty; leave the field out")
	case len(n.Content) > most:
		d.wrong(n, "a list has at most %d elements here", most)
	default:
		for _, child := range n.Content {
			decode(child)
		}
	}
}

// scalar returns a text of one line that is not empty.
func (d *decoder) scalar(n *yaml.Node) (text, bool) {
	t, ok := d.lines(n)
	if ok && strings.ContainsAny(t.value, "\n\t") {
		d.wrong(n, "want a text of one line")
		return text{}, false
	}
	return t, ok
}

// lines returns a text that is not empty. What YAML takes for a number or a truth value is refused, and so is what nobody
// sees: a name must not mean something else than it shows.
func (d *decoder) lines(n *yaml.Node) (text, bool) {
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, "want a text")
	case tag != "!!str" && tag != "!!timestamp":
		d.wrong(n, "want a text; put it in quotes")
	case strings.TrimSpace(n.Value) == "":
		d.wrong(n, "the text is empty; leave the field out")
	case strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }):
		d.wrong(n, "the text has a character that nobody sees")
	default:
		return text{strings.TrimRight(n.Value, "\n"), positionOf(n)}, true
	}
	return text{}, false
}

// string takes a text of one line and at most bytes.
func (d *decoder) string(into *string, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		t, ok := d.scalar(n)
		if ok && len(t.value) > most {
			d.wrong(n, "want a text of at most %d bytes", most)
			return
		}
		*into = t.value
	}
}

// prose takes a text for people, which may have several lines.
func (d *decoder) prose(into *text) func(*yaml.Node) {
	return func(n *yaml.Node) { *into, _ = d.lines(n) }
}

// matching takes a text that check accepts; what says how it has to look.
func (d *decoder) matching(into *text, check func(string) bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		t, ok := d.scalar(n)
		if !ok {
			return
		}
		if !check(t.value) {
			d.wrong(n, "%q: want %s", clip(t.value), what)
			return
		}
		*into = t
	}
}

// set takes a list of texts, each accepted by check, none of them twice.
func (d *decoder) set(into *[]text, check func(string) bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		seen := map[string]bool{}
		d.list(n, maxList, func(child *yaml.Node) {
			var t text
			d.matching(&t, check, what)(child)
			switch {
			case t.value == "":
			case seen[t.value]:
				d.wrong(child, "%q stands here twice", clip(t.value))
			default:
				seen[t.value] = true
				*into = append(*into, t)
			}
		})
	}
}

func (d *decoder) boolean(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.wrong(n, "want true or false")
			return
		}
		*into = n.Value == "true" || n.Value == "True" || n.Value == "TRUE"
	}
}

func (d *decoder) integer(into *int, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || i < least || i > most {
			d.wrong(n, "want a whole number from %d to %d", least, most)
			return
		}
		*into = i
	}
}

// maxSpan is the longest duration that a policy names.
const maxSpan = 720 * time.Hour

// duration takes whole seconds from least on.
func (d *decoder) duration(into *time.Duration, least time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || err != nil || v%time.Second != 0 || v < least || v > maxSpan {
			d.wrong(n, "want a duration of whole seconds like 90m or 4h, from %s to %dh", least, maxSpan/time.Hour)
			return
		}
		*into = v
	}
}

func (d *decoder) moment(into *time.Time) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := time.Parse(time.RFC3339, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.wrong(n, "want a time like 2026-03-02T10:00:00+01:00")
			return
		}
		*into = v
	}
}

// clip shortens what an error repeats of a document.
func clip(s string) string { return shorten(s, 64) }

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
