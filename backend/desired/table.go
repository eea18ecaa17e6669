package desired

import (
	"bytes"
	"slices"
	"strings"
)

// Map is one of the maps that HAProxy enforces by, named by its file. All of them are ours alone.
type Map string

// The maps. Their keys and values are listed in docs/architecture.md.
const (
	Grants Map = "grants.map" // <subject>|<environment>/<pool> -> <expiry, epoch seconds>:<grant id>
	Leases Map = "leases.map" // <environment> -> epoch seconds until which the node may trust its rows
	Hosts  Map = "hosts.map"  // host -> <environment>/<pool>
	Pools  Map = "pools.map"  // <environment>/<pool> -> backend
	KIDs   Map = "kids.map"   // <issuer name>|<kid> -> key file
)

// Row is one line of a map.
type Row struct{ Key, Value string }

// Table is the content of a map: one value for each key.
type Table map[string]string

// State is the content of the maps of a node.
type State map[Map]Table

// safe is what may stand in a key or a value: no space, no quote, no control character, nothing that the runtime API or
// a map file reads otherwise. The longest key has 128 + 1 + 31 + 1 + 63 = 224 bytes.
var safe = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+|/-") {
		in[c] = true
	}
	return in
}()

// CanSend reports whether a key or a value may reach a node. "." and ".." are segments of a path, not keys.
func CanSend(s string) bool {
	if len(s) < 1 || len(s) > 256 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !safe[s[i]] {
			return false
		}
	}
	return true
}

// Rows are the table's rows, sorted by key.
func (t Table) Rows() []Row {
	rows := make([]Row, 0, len(t))
	for k, v := range t {
		rows = append(rows, Row{k, v})
	}
	slices.SortFunc(rows, byKey)
	return rows
}

func byKey(a, b Row) int { return strings.Compare(a.Key, b.Key) }

// Text is the map's file: a row a line, key and value parted by one space, sorted, each with a newline.
func (t Table) Text() []byte { return text(t.Rows()) }

func text(rows []Row) []byte {
	length := 0
	for _, r := range rows {
		length += len(r.Key) + len(r.Value) + len(" \n")
	}
	var b bytes.Buffer
	b.Grow(length)
	for _, r := range rows {
		b.WriteString(r.Key)
		b.WriteByte(' ')
		b.WriteString(r.Value)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Lines reads the rows of a map's file as HAProxy 2.6 does: a line that begins with # is nothing, and so is one without a
// key; the key ends at the first space, tab or carriage return, the value is what is left of the line without the blanks
// around it, and empty where there is only a key. A zero byte and a carriage return end a line for HAProxy, though the next
// begins after the newline only.
func Lines(text []byte) []Row {
	var rows []Row
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "\x00")
		if strings.HasPrefix(line, "#") {
			continue
		}
		key, rest := cutAny(strings.TrimLeft(line, " \t"), " \t\r\n")
		value, _ := cutAny(strings.TrimLeft(rest, " \t"), "\r\n")
		if key != "" {
			rows = append(rows, Row{Key: key, Value: strings.TrimRight(value, " \t")})
		}
	}
	return rows
}

// Parse reads a map's file (see Lines). Of rows with the same key the first counts; exact says that the text is just what
// Text would write.
func Parse(text []byte) (t Table, exact bool) {
	t = Table{}
	for _, r := range Lines(text) {
		if _, there := t[r.Key]; !there {
			t[r.Key] = r.Value
		}
	}
	return t, bytes.Equal(t.Text(), text)
}

// cutAny parts s before the first of the characters chars.
func cutAny(s, chars string) (before, rest string) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}
