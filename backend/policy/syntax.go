package policy

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// libraryPlace is the place that the library writes before its errors.
var libraryPlace = regexp.MustCompile(`\A(?:yaml: )?(?:line (\d+): )?`)

// syntax tells an error of the library in its words, and not at its place: it names the beginning of what was being read, which
// may be the first rule, counts from zero or from one, or names no line at all.
func (d *decoder) syntax(err error) {
	m := libraryPlace.FindStringSubmatch(err.Error())
	at, found := d.broken()
	if !found {
		at.line, _ = strconv.Atoi(m[1]) // empty: it names none
	}
	d.add(d.file, at, "%s", shorten(err.Error()[len(m[0]):], 200))
}

// maxSearch bounds the bytes that are read again to find a place, to a second or so. It is enough for any mistake in a
// document of some 30 KiB. In a larger one the place of a quotation mark that is missing far above the end is the library's.
const maxSearch = 16 << 20

// broken is where a text stops being YAML: the first line that cannot follow the lines before it, at its first character. Of
// what goes over several lines, such as a text in quotes, that is where it begins.
//
// The library reads as it understands, so the mistake is not below the line to which it has read. From there upwards, the
// first beginning of the text that is YAML ends above the mistake. A beginning may also be none because it is cut off, in the
// midst of a list in brackets; so it is the longest one that counts, and halving would not find it.
func (d *decoder) broken() (at position, found bool) {
	readTo := &byByte{text: d.text}
	_ = readable(readTo)
	ends := lineEnds(d.text[:readTo.read])
	searched := 0
	for i := len(ends) - 2; i >= 0; i-- {
		if searched += ends[i]; searched > maxSearch {
			break
		}
		if readable(bytes.NewReader(d.text[:ends[i]])) {
			rest := d.text[ends[i]:]
			return position{i + 1, 1 + len(rest) - len(bytes.TrimLeft(rest, " "))}, true
		}
	}
	return position{}, false
}

// lineEnds are the offsets at which lines end, the newline included, from that of no line on.
func lineEnds(text []byte) []int {
	ends := []int{0}
	for i, c := range text {
		if c == '\n' || i == len(text)-1 {
			ends = append(ends, i+1)
		}
	}
	return ends
}

// readable reports whether a text is YAML. The library may panic instead of saying that it is not.
func readable(r io.Reader) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	decoder := yaml.NewDecoder(r)
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// byByte gives one byte at a time, and counts them.
type byByte struct {
	text []byte
	read int
}

// Read implements io.Reader.
func (b *byByte) Read(p []byte) (int, error) {
	if b.read == len(b.text) {
		return 0, io.EOF
	}
	n := copy(p[:min(1, len(p))], b.text[b.read:])
	b.read += n
	return n, nil
}
