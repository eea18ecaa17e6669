package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// What the gateway records by itself, under a key, so that it is there once however often and by however many gateways it is
// recorded. No node holds anything else for it, so none is woken; the outbox finds it within a second.

// recorder stands for the gateway where a key has its caller. It is no subject that anybody can have.
const recorder grant.Subject = "system:haproxyaccess"

// recordOnce commits an event unless one of its verb and key is there, of the last store.ReplayFor at least.
func (s *Service) recordOnce(ctx context.Context, e grant.Event, key string) error {
	body := sha256.Sum256([]byte(key))
	_, err := s.Grants.Commit(ctx, store.Change{
		Events: []grant.Event{e},
		Replay: &store.Replay{Caller: recorder, Method: string(e.Verb), Key: key, Body: body, At: e.At},
	})
	if errors.Is(err, store.ErrReplay) {
		return nil
	}
	return err
}

// DriftFound records what somebody else had done to a node's maps. A Drift of the same node and First is the same one.
// Error: a failure of the store; it may be recorded all the same, and is to be told again.
func (s *Service) DriftFound(ctx context.Context, d grant.Drift) error {
	e := grant.Event{Verb: grant.FindDrift, At: s.Now(), Drift: d}
	if len(d.Environments) == 1 {
		e.Grant.Pool.Environment = d.Environments[0]
	}
	return s.recordOnce(ctx, e, d.Node+"@"+strconv.FormatInt(d.First.UnixNano(), 10))
}

// PolicyRefusal is a state of the policy's files that is no policy.
type PolicyRefusal struct {
	Files []string // whole paths
	Hash  string   // of what stands in them
	Error string
}

// maxRefusal bounds, in bytes, what an event says is wrong with a policy.
const maxRefusal = 2000

// PolicyRefused records that the policy's files are refused, unless the log says of the same content that it was refused
// last, or within a day of it. Error: a failure of the store.
func (s *Service) PolicyRefused(ctx context.Context, r PolicyRefusal) error {
	last, err := s.History.History(ctx, store.EventQuery{Verbs: []grant.Verb{grant.RefusePolicy}, Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(last) == 1 && last[0].Event.Grant.PolicyHash == r.Hash {
		return nil
	}
	shown := PolicyStatus{Files: r.Files, Error: r.Error}.shown()
	name, hash := s.Policy.Version()
	return s.recordOnce(ctx, grant.Event{
		Verb: grant.RefusePolicy, At: s.Now(), Comment: printable(shown.Error, maxRefusal),
		Grant: grant.Grant{
			Policy: name, PolicyHash: r.Hash,
			Explanation: fmt.Sprintf("The policy %s (%.12s) stays in force; %s", printable(name, maxRefusal), hash, printable(fileNames(shown.Files), maxRefusal)),
		},
	}, r.Hash)
}

// printable is text as a log may show it, with escapes in place of what checkText would refuse, and cut off after so many
// bytes.
func printable(text string, most int) string {
	const cut = " ..."
	var b strings.Builder
	short := 0 // up to where it may be cut off
	for i, r := range text {
		shown := string(r)
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], shown):
			shown = `\x` + strconv.FormatUint(uint64(text[i]), 16)
		case r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			shown = strings.Trim(strconv.QuoteToASCII(shown), `"`)
		}
		b.WriteString(shown)
		if b.Len() > most {
			return b.String()[:short] + cut
		}
		if b.Len() <= most-len(cut) {
			short = b.Len()
		}
	}
	return b.String()
}
