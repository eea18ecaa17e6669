package access_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var madeUp = []string{
	"", "x", "e30", "bnVsbA", "eyJ0IjoxLCJpIjoiZzEifQ", "eyJ0IjoxLCJpIjoiZzEifQ==", "eyJ0Ijo5MjIzMzcyMDM2ODU0Nzc1ODA3LCJpIjoiZyJ9",
	"eyJ0IjotMSwiaSI6ImcifQ", "eyJ0IjoxLCJpIjoiXHUwMDAwIn0", "W10", "\n", "eyJ0IjoxLCJpIjoiZzEifQ\n",
	"eyJyIjoxfQ", "eyJyIjowfQ", "eyJyIjotMX0", "eyJyIjo5MjIzMzcyMDM2ODU0Nzc1ODA3fQ", "eyJyIjoxZTk5fQ", "eyJyIjoxfQ=", "eyJyIjoiMSJ9",
}

// What is no token is an error; what parses is a position, which is the same one when it is written again.
func FuzzPageToken(f *testing.F) {
	for _, seed := range madeUp {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := access.ParsePageToken(token)
		if err != nil {
			if (c != store.Cursor{}) {
				t.Errorf("a cursor beside an error: %v", c)
			}
			return
		}
		if c.ID == "" || len(c.ID) > 64 || c.RequestedAt.IsZero() {
			t.Errorf("cursor %v", c)
		}
		again, err := access.ParsePageToken(access.PageToken(grant.Grant{ID: c.ID, RequestedAt: c.RequestedAt}))
		if err != nil || again.ID != c.ID || !again.RequestedAt.Equal(c.RequestedAt) {
			t.Errorf("%v is %v when it is written again, %v", c, again, err)
		}
	})
}

// As FuzzPageToken, for the log: a revision, which is never before the first.
func FuzzEventToken(f *testing.F) {
	for _, seed := range madeUp {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		revision, err := access.ParseEventToken(token)
		if err != nil {
			if revision != 0 {
				t.Errorf("a revision beside an error: %d", revision)
			}
			return
		}
		if revision <= 0 {
			t.Errorf("revision %d", revision)
		}
		if again, err := access.ParseEventToken(access.EventToken(revision)); err != nil || again != revision {
			t.Errorf("%d is %d when it is written again, %v", revision, again, err)
		}
	})
}

// I14: a text that passes can be shown as a line or as lines: no byte of it moves the cursor, hides or turns text round.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"", "ticket 4711", "für テスト,\n\tsiehe 4711", "\x1b[31m", "a\x00b", "a\rb", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u00ad",
		"\u0085", "\x7f", "\xff", "\xed\xa0\x80", "\U000e0041", "👩‍💻", strings.Repeat("a", access.MaxText), strings.Repeat("a", access.MaxText+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if access.CheckText("reason", text) != nil {
			return
		}
		if !utf8.ValidString(text) || len(text) > access.MaxText {
			t.Errorf("%q passed", text)
		}
		for _, r := range text {
			bad := r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || // C0, DEL, C1
				r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || // width, order, line ends
				r == 0xad || r == 0xfeff || r >= 0xe0000 && r <= 0xe007f // hyphens, marks and tags that are not seen
			if bad && r != 0x2065 { // not assigned
				t.Errorf("%q passed with %U", text, r)
			}
		}
	})
}
