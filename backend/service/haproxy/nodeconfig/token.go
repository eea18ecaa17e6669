package nodeconfig

import (
	"errors"
	"strings"
)

var errQuote = errors.New("a quote is not closed")

// tokens splits a line of haproxy.cfg into its words, as HAProxy reads it: nothing is special between single quotes; a
// backslash takes the next character as it is, outside of quotes and between double ones; # begins a comment outside of
// quotes. A variable of the environment between double quotes stays as it is written.
func tokens(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, open := false, byte(0)
	end := func() {
		if in {
			words = append(words, word.String())
			word.Reset()
			in = false
		}
	}
	line = strings.TrimRight(line, "\r\n")
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case open == '\'':
			if c == '\'' {
				open = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\\' && i+1 < len(line):
			i++
			in = true
			escaped(&word, line[i], open)
		case open == '"':
			if c == '"' {
				open = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			open, in = c, true
		case c == ' ' || c == '\t':
			end()
		case c == '#':
			end()
			return words, nil
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if open != 0 {
		return nil, errQuote
	}
	end()
	return words, nil
}

// escaped adds what a backslash and c stand for. Between double quotes it is special before few characters only, and
// stays before any other.
func escaped(word *strings.Builder, c, open byte) {
	switch {
	case open == '"' && c != '\\' && c != '"' && c != '\'' && c != '$':
		word.WriteByte('\\')
		word.WriteByte(c)
	case open == 0 && c == 'n':
		word.WriteByte('\n')
	case open == 0 && c == 'r':
		word.WriteByte('\r')
	case open == 0 && c == 't':
		word.WriteByte('\t')
	default:
		word.WriteByte(c)
	}
}
