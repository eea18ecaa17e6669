package nodeconfig

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keywords begin a section, wherever they stand as the first word of a line. An unknown one would be taken for a directive
// of the section before it: so there are those of later versions as well.
var keywords = []string{
	"acme", "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen", "log-forward",
	"log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist",
}

// section is a run of lines from one section's header up to the next one's.
type section struct {
	kind, name string // empty for what stands before the first
	lines      []string
}

func (s section) id() string { return s.kind + " " + s.name }

// split takes a configuration apart. Joined again the sections' lines are the text, byte for byte.
func split(text string) []section {
	sections := []section{{}}
	for line := range strings.Lines(text) {
		if words, err := tokens(line); err == nil && len(words) > 0 && slices.Contains(keywords, words[0]) {
			s := section{kind: words[0]}
			if len(words) > 1 {
				s.name = words[1]
			}
			sections = append(sections, s)
		}
		last := &sections[len(sections)-1]
		last.lines = append(last.lines, line)
	}
	return sections
}

// body is how many of the lines are the section's own: comments and empty lines at its end stand before the next one, and
// are no part of it.
func (s section) body() int {
	for n := len(s.lines); n > 0; n-- {
		if words, err := tokens(s.lines[n-1]); err != nil || len(words) > 0 {
			return n
		}
	}
	return 0
}

// errConditional: what stands between .if and .endif is there or not, and cannot be replaced.
var errConditional = errors.New("one of our sections has an .if or the like in it, or stands in one: take it out")

// Splice answers config with our sections in it: in the place of the first that is there, or at the end. Sections of ours
// are those that ours has, and those of the names: what an earlier text of ours had. Everything else stays as it is.
func Splice(config, ours string, names ...string) (string, error) {
	wanted := map[string]bool{}
	for _, s := range split(ours)[1:] {
		wanted[s.id()] = true
	}
	if len(wanted) == 0 {
		return "", errors.New("there is no section to put in")
	}
	mine := func(s section) bool {
		return s.kind != "" && (wanted[s.id()] || slices.Contains(names, s.name))
	}
	var out strings.Builder
	placed, depth := false, 0
	all := split(config)
	for i, s := range all {
		body := s.body()
		before := depth
		for _, line := range s.lines[:body] {
			depth += conditional(line)
		}
		if !mine(s) {
			write(&out, s.lines)
			continue
		}
		if before != 0 || depth != before {
			return "", fmt.Errorf("%s: %w", s.id(), errConditional)
		}
		if !placed {
			out.WriteString(bare(ours))
			placed = true
		}
		// Between two of ours an empty line is ours as well; comments are somebody's.
		if rest := s.lines[body:]; i+1 == len(all) || !mine(all[i+1]) || strings.TrimSpace(strings.Join(rest, "")) != "" {
			write(&out, rest)
		}
	}
	if !placed {
		if depth != 0 {
			return "", errConditional
		}
		text := out.String()
		if text != "" && !strings.HasSuffix(text, "\n") {
			out.WriteString("\n")
		}
		if text != "" {
			out.WriteString("\n")
		}
		out.WriteString(bare(ours))
	}
	return out.String(), nil
}

// bare is a text's sections without what stands before and between them: a comment there would count as somebody's when
// the sections are replaced, and come again each time.
func bare(text string) string {
	var out strings.Builder
	for i, s := range split(text)[1:] {
		if i > 0 {
			out.WriteString("\n")
		}
		write(&out, s.lines[:s.body()])
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func conditional(line string) int {
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return 0
	case words[0] == ".if":
		return 1
	case words[0] == ".endif":
		return -1
	}
	return 0
}

func write(out *strings.Builder, lines []string) {
	for _, line := range lines {
		out.WriteString(line)
	}
}

// Same reports whether config has our sections, each once and with the same directives, and no other section of the
// names. What a writer like the Data Plane API does to a file when it writes it out again makes no difference: comments,
// quotes, spaces, and the order of directives of different kinds.
func Same(config, ours string, names ...string) bool {
	have, want := map[string]string{}, map[string]string{}
	for _, s := range split(ours)[1:] {
		want[s.id()] = canonical(s)
	}
	depth := 0
	for _, s := range split(config) {
		before := depth
		for _, line := range s.lines {
			depth += conditional(line)
		}
		known := want[s.id()] != ""
		if s.kind == "" || !known && !slices.Contains(names, s.name) {
			continue
		}
		if _, twice := have[s.id()]; twice || !known || before != 0 || depth != before {
			return false
		}
		have[s.id()] = canonical(s)
	}
	if len(have) != len(want) {
		return false
	}
	for id, text := range want {
		if have[id] != text {
			return false
		}
	}
	return true
}

// Ours is what config has of our sections, as Splice tells them.
func Ours(config, ours string, names ...string) string {
	wanted := map[string]bool{}
	for _, s := range split(ours)[1:] {
		wanted[s.id()] = true
	}
	var out strings.Builder
	for _, s := range split(config) {
		if s.kind != "" && (wanted[s.id()] || slices.Contains(names, s.name)) {
			if out.Len() > 0 {
				out.WriteString("\n")
			}
			write(&out, s.lines[:s.body()])
		}
	}
	return out.String()
}

// canonical is a section's directives with each word quoted in one way, those of a kind in their order.
func canonical(s section) string {
	kinds := map[string][]string{}
	for i, line := range s.lines {
		words, err := tokens(line)
		if err != nil {
			words = []string{"?", line} // it compares with itself alone
		}
		if len(words) == 0 {
			continue
		}
		kind := words[0]
		if i == 0 {
			kind, words = "", words[:min(len(words), 2)] // the header: the API may add "from"
		}
		rest := words
		if kind == "no" && len(words) > 1 {
			kind, rest = words[1], words[1:]
		}
		if (kind == "option" || kind == "timeout") && len(rest) > 1 {
			kind += " " + rest[1] // each is a kind by itself
		}
		kinds[kind] = append(kinds[kind], fmt.Sprintf("%q", words))
	}
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for _, line := range kinds[kind] {
			text.WriteString(line + "\n")
		}
	}
	return text.String()
}
