package haproxyaccess

import (
	"testing"
	"time"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	authnservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/authn"
)

// fakeAuthn keeps who wants to be told of logins.
type fakeAuthn struct{ listener authnservice.LoginListener }

func (f *fakeAuthn) OnLogin(l authnservice.LoginListener) { f.listener = l }

// I4: a login that shows that a group is lost ends what rested on it, though its person never calls us again.
func TestI4ALoginAloneEndsWhatRestedOnALostGroup(t *testing.T) {
	w := newWorld(t)
	authn := &fakeAuthn{}
	service.Registry[authnservice.Name] = authn
	s := w.start()
	v := w.request(s, "staging")
	if v.Grant.State != grant.Active {
		t.Fatalf("state %s", v.Grant.State)
	}
	// Of two logins in one moment what both say counts: the first is a while ago.
	authn.listener(t.Context(), "alice@example.com", []string{"eng"}, time.Now().Add(-time.Minute))
	authn.listener(t.Context(), "alice@example.com", []string{"sales"}, time.Now())
	w.eventually("the grant is revoked", func() bool {
		v, err := s.Get(t.Context(), oscar, v.Grant.ID)
		return err == nil && v.Grant.State == grant.Revoked && v.Grant.Cause == grant.CauseGroupLost
	})
	// The token of before says that she still is in the group. The later login counts.
	c, err := s.Identify(t.Context(), access.Login{Subject: "alice@example.com", Groups: []string{"eng"}, At: time.Now().Add(-time.Hour)})
	if err != nil || len(c.Groups) != 1 || c.Groups[0] != "sales" {
		t.Errorf("identified as %+v, %v", c, err)
	}
}
