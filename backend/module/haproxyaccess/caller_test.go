package haproxyaccess

import (
	"context"
	"strings"
	"testing"

	"github.com/dgrijalva/jwt-go"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lyft/clutch/backend/service/authn"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

const idp = "https://idp.example"

func TestTheCallerIsWhoTheLoginProved(t *testing.T) {
	cases := []struct {
		name, issuer, subject string
		want                  grant.Subject // empty: refused
	}{
		{"a person", idp, "alice@example.com", "alice@example.com"},
		{"in any letter case", idp, "Alice.Smith@EXAMPLE.com", "alice.smith@example.com"},
		{"a service token of Clutch", "clutch", "service:deploy-bot", "service:deploy-bot"},
		{"its letter case", "clutch", "service:Deploy-Bot", "service:deploy-bot"},

		{"a person by Clutch", "clutch", "alice@example.com", ""},
		{"a service by an identity provider", idp, "service:deploy-bot", ""},
		{"an agent by an identity provider", idp, "agent:triage", ""},
		{"a service by nobody", "", "service:deploy-bot", ""},
		{"a service by almost Clutch", "Clutch", "service:deploy-bot", ""},
		{"a service by Clutch's neighbour", "clutch/", "service:deploy-bot", ""},
		{"an agent by Clutch", "clutch", "agent:triage", ""},
		{"an agent as a service", "clutch", "service:agent:triage", ""},
		{"a service without a name", "clutch", "service:", ""},
		{"a capital prefix", "clutch", "Service:deploy-bot", ""},
		{"a prefix that Clutch did not write", "clutch", " service:deploy-bot", ""},
		{"a service that breaks out of a map's key", "clutch", "service:a|prod/web", ""},
		{"a person that breaks out of a map's key", idp, "alice@example.com|prod/web", ""},
		{"a letter that lowers to another's", idp, "mi\u212ae@example.com", ""},
		{"a line break", idp, "alice@example.com\n", ""},
		{"no name", idp, "", ""},
		{"more than 128 bytes", idp, strings.Repeat("a", 120) + "@example.com", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := loginFromContext(loggedIn(t, c.issuer, c.subject))
			if c.want != "" {
				if err != nil || got.Subject != c.want {
					t.Errorf("got %q, %v, want %q", got.Subject, err, c.want)
				}
				return
			}
			if status.Code(err) != codes.PermissionDenied || got.Subject != "" || got.Groups != nil {
				t.Errorf("got %+v, %v", got, err)
			}
			if own := strings.TrimPrefix(c.subject, "service:"); own != "" && strings.Contains(err.Error(), own) {
				t.Errorf("the error repeats the name: %v", err)
			}
		})
	}
}

func TestWithoutALoginThereIsNoCaller(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"no claims":             t.Context(),
		"nil claims":            authn.ContextWithClaims(t.Context(), nil),
		"claims without a name": authn.ContextWithClaims(t.Context(), &authn.Claims{Groups: []string{"operators"}}),
	} {
		if got, err := loginFromContext(ctx); status.Code(err) != codes.Unauthenticated || !cmp.Equal(got, access.Login{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Clutch gives these claims to a call of a method that is open to all, such as Login.
func TestTheAnonymousCallerIsRefused(t *testing.T) {
	got, err := loginFromContext(authn.ContextWithAnonymousClaims(t.Context()))
	if status.Code(err) != codes.PermissionDenied || !cmp.Equal(got, access.Login{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnEmptyGroupIsNoGroup(t *testing.T) {
	for _, c := range []struct{ claimed, want []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"", "developers", "", "on-call"}, []string{"developers", "on-call"}},
	} {
		got, err := loginFromContext(loggedIn(t, idp, "alice@example.com", c.claimed...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got.Groups); diff != "" {
			t.Errorf("%q: %s", c.claimed, diff)
		}
	}
}

// I11: what a person approves by is as old as their token says, and one that does not say is as old as can be.
func TestGroupsAreAsOldAsTheToken(t *testing.T) {
	got, err := loginFromContext(loggedIn(t, idp, "alice@example.com", "developers"))
	if err != nil || !got.At.Equal(at(60)) {
		t.Errorf("at %v, %v", got.At, err)
	}
	claims := &authn.Claims{StandardClaims: &jwt.StandardClaims{Issuer: idp, Subject: "alice@example.com"}}
	got, err = loginFromContext(authn.ContextWithClaims(t.Context(), claims))
	if err != nil || !got.At.IsZero() {
		t.Errorf("at %v, %v", got.At, err)
	}
}
