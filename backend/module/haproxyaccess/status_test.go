package haproxyaccess

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func TestEveryCodeHasItsStatus(t *testing.T) {
	cases := []struct {
		code access.Code
		grpc codes.Code
		http int
	}{
		{"invalid", codes.InvalidArgument, 400},
		{"forbidden", codes.PermissionDenied, 403},
		{"not_found", codes.NotFound, 404},
		{"conflict", codes.Aborted, 409},
		{"too_many", codes.ResourceExhausted, 429},
		{"internal", codes.Internal, 500},
		{"unavailable", codes.Unavailable, 503},
		{"a code of tomorrow", codes.Internal, 500},
		{"", codes.Internal, 500},
	}
	for _, c := range cases {
		a, _ := newAPI(nil)
		err := a.statusError(&access.Error{Code: c.code, Message: "why"})
		if got := status.Code(err); got != c.grpc || runtime.HTTPStatusFromCode(got) != c.http {
			t.Errorf("%q: %s and %d, want %s and %d", c.code, got, runtime.HTTPStatusFromCode(got), c.grpc, c.http)
		}
		if got := status.Convert(err).Message(); got != "why" {
			t.Errorf("%q: the message is %q", c.code, got)
		}
	}
	if got := len(codeOf); got != 7 {
		t.Errorf("%d codes are mapped, want 7", got)
	}
}

const marker = "marker-hunter2"

// failing is a store whose every error has a secret in it.
type failing struct{ store.Grants }

func (failing) Grant(context.Context, string) (store.Record, error) {
	return store.Record{}, errors.New("connect to postgres://u:" + marker + "@db")
}

// history is embedded under another name, since the interface has a method of its own.
type histories = store.History

type history struct{ histories }

// believer knows what a login says.
type believer struct{ access.Directory }

func (believer) Seen(_ context.Context, l access.Login) (access.Membership, error) {
	return access.Membership{Groups: l.Groups, At: l.At}, nil
}

// realUseCases is access itself on the failing store: its errors have a cause, which nobody else can make.
func realUseCases(t *testing.T) UseCases {
	t.Helper()
	s, err := access.New(access.Config{
		Grants: failing{}, History: history{}, Directory: believer{}, Policy: struct{ policy.Engine }{},
		Source: struct{ access.PolicySource }{}, GroupsMaxAge: time.Minute, Catalog: struct{ access.Catalog }{},
		Enforcer: struct{ access.Enforcer }{}, Tokens: struct{ access.Tokens }{}, Fleet: struct{ access.Fleet }{},
		Now: time.Now, NewID: func() string { return "g1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestI14TheInsideOfAFailureIsLoggedAndNotAnswered(t *testing.T) {
	wrapped := fmt.Errorf("%s: %w", marker, &access.Error{Code: access.Conflict, Message: "read it again", GrantID: "g2"})
	for name, c := range map[string]struct {
		use    UseCases
		code   codes.Code
		logged bool
	}{
		"a cause":             {realUseCases(t), codes.Internal, true},
		"an error of no kind": {&fake{err: errors.New(marker)}, codes.Internal, true},
		"words around one":    {&fake{err: wrapped}, codes.Aborted, false},
	} {
		a, logs := newAPI(c.use)
		_, err := a.GetGrant(aliceContext(t), &v1.GetGrantRequest{GrantId: "g1"})
		if status.Code(err) != c.code || contains(err, marker) {
			t.Errorf("%s: %v", name, err)
		}
		logged := false
		for _, entry := range logs.All() {
			logged = logged || strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), marker)
		}
		if logged != c.logged {
			t.Errorf("%s: logged %v, want %v: %v", name, logged, c.logged, logs.All())
		}
	}
}

func TestTheGrantInTheWayIsInTheDetails(t *testing.T) {
	a, _ := newAPI(&fake{err: &access.Error{Code: access.Conflict, Message: "there is one", GrantID: "g9"}})
	_, err := a.RequestAccess(aliceContext(t), &v1.RequestAccessRequest{})
	details := status.Convert(err).Details()
	if len(details) != 1 {
		t.Fatalf("details: %v", details)
	}
	info, ok := details[0].(*errdetails.ResourceInfo)
	if !ok || info.GetResourceType() != "haproxyaccess.v1.Grant" || info.GetResourceName() != "g9" {
		t.Errorf("got %v", details[0])
	}

	a, _ = newAPI(&fake{err: &access.Error{Code: access.Conflict, Message: "a race was lost"}})
	_, err = a.RequestAccess(aliceContext(t), &v1.RequestAccessRequest{})
	if details := status.Convert(err).Details(); len(details) > 0 {
		t.Errorf("without a grant: %v", details)
	}
}

// contains looks through all of what a caller is sent.
func contains(err error, text string) bool {
	return strings.Contains(err.Error()+prototext.Format(status.Convert(err).Proto()), text)
}
