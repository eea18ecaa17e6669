package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A token is asked for with what the grant says, and never past its end.
func TestATokenSaysWhatTheGrantSays(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	caller := access.Caller{Subject: alice.Subject, Groups: []string{"eng", "new"}}
	token, expires, err := w.service.IssueToken(t.Context(), caller, v.Grant.ID)
	w.equal("code", code(err), ok)
	w.equal("token", token, "token")
	w.equal("expires", expires, v.Grant.ExpiresAt)
	w.equal("claims", w.tokens.claims, []access.Claims{{
		Subject: alice.Subject, Groups: []string{"eng", "new"}, Pool: grant.Pool{Environment: "staging", Name: "db"},
		GrantID: v.Grant.ID, NotAfter: time.Date(2026, 1, 2, 3, 19, 5, 0, time.UTC),
	}})
}

// Not for a grant that waits, has run out though the clock has not come round, or was ended.
func TestNoTokenForAGrantThatIsNotLive(t *testing.T) {
	w := newWorld(t)
	pending := w.request(alice, "prod", "db")
	_, _, err := w.service.IssueToken(t.Context(), alice, pending.Grant.ID)
	w.names(err, access.Conflict, pending.Grant.ID)
	ended := w.request(alice, "staging", "db")
	w.end(ended.Grant.ID)
	_, _, err = w.service.IssueToken(t.Context(), alice, ended.Grant.ID)
	w.names(err, access.Conflict, ended.Grant.ID)
	over := w.request(alice, "staging", "db")
	w.pass(15*time.Minute - 600*time.Millisecond) // the very second of its end
	_, _, err = w.service.IssueToken(t.Context(), alice, over.Grant.ID)
	w.names(err, access.Conflict, over.Grant.ID)
	w.equal("tokens", len(w.tokens.claims), 0)
}

func TestATokenThatCannotBeSignedSaysNothingOfTheInside(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	w.tokens.err = errors.New("open key: " + marker)
	token, _, err := w.service.IssueToken(t.Context(), alice, v.Grant.ID)
	w.equal("code", code(err), access.Internal)
	w.equal("token", token, "")
	if strings.Contains(err.Error(), marker) {
		t.Errorf("the message: %s", err)
	}
}
