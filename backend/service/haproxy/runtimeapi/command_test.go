package runtimeapi

import (
	"strings"
	"testing"
)

// Each of them would be another command, or hang the socket, if it were sent.
func TestNoWordBecomesAnotherCommand(t *testing.T) {
	for _, word := range []string{
		"", " ", "a b", "a\nquit", "a\r", "a;quit", "<<", "a<<", "a\\", `"a"`, "'a'", "a#b", "#", "#1", "#0xg", "#0x1;", "#0X1", "a\x00", "a\x7f", "é", "*", "$a", "{", "}",
		"&", "@!", "@!x", "@!1 ", "@!12345678901", "!1", "=", ",", "%41", "a\t", "(", ")", "?", "~", strings.Repeat("a", 257),
	} {
		for _, c := range [][]command{{{"show", word}}, {{word}}, {{"show", "map"}, {"del", "map", word}}} {
			if text, err := line(c); err == nil {
				t.Errorf("%q is sent as %q", c, text)
			}
		}
	}
	for _, c := range [][]command{{{"show", "@!1"}}, {{"#0x1"}}, {{}}, {}, make([]command, 51)} {
		if text, err := line(c); err == nil {
			t.Errorf("%q is sent as %q", c, text)
		}
	}
	for _, c := range []struct {
		commands []command
		want     string
	}{
		{[]command{{"show", "proc"}}, "show proc\n"},
		{[]command{{"@!24114", "del", "map", "/m/grants.map", "#0x55cffe1a4e30"}}, "@!24114 del map /m/grants.map #0x55cffe1a4e30\n"},
		{[]command{{"shutdown", "session", "0x7f01"}, {"show", "map"}}, "shutdown session 0x7f01;show map\n"},
		{[]command{{"del", "map", "/m", "agent:a_b+c|prod/x.y-z"}}, "del map /m agent:a_b+c|prod/x.y-z\n"},
	} {
		if got, err := line(c.commands); err != nil || got != c.want {
			t.Errorf("%q is sent as %q, %v", c.commands, got, err)
		}
	}
}
