package audit

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap/zaptest"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service"

	configv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/audit/v1"
	storeservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

func openStore(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// auditor is one over a real store, without sinks, whose clock stands still at noon.
func auditor(t *testing.T) *Auditor {
	t.Helper()
	db := openStore(t, filepath.Join(t.TempDir(), "s.db"))
	return newAuditor(db, nil, zaptest.NewLogger(t), tally.NoopScope, func() time.Time { return noon })
}

func body(t *testing.T, text string) *anypb.Any {
	t.Helper()
	a, err := anypb.New(&auditv1.Resource{Id: text})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// call is an event as Clutch's middleware writes it before the handler runs.
func call(t *testing.T, method string) *auditv1.RequestEvent {
	t.Helper()
	return &auditv1.RequestEvent{
		Username: "alice@example.com", ServiceName: "haproxyaccess.v1.AccessAPI", MethodName: method, Type: apiv1.ActionType_CREATE,
		Resources:       []*auditv1.Resource{{TypeUrl: "t", Id: "asked"}},
		RequestMetadata: &auditv1.RequestMetadata{Body: body(t, "request of "+method)},
	}
}

// answer is what it writes afterwards.
func answer(t *testing.T, code codes.Code) *auditv1.RequestEvent {
	t.Helper()
	return &auditv1.RequestEvent{
		Status:           &status.Status{Code: int32(code), Message: code.String()},
		Resources:        []*auditv1.Resource{{TypeUrl: "t", Id: "answered"}},
		ResponseMetadata: &auditv1.ResponseMetadata{Body: body(t, "response")},
	}
}

func write(t *testing.T, a *Auditor, method string) int64 {
	t.Helper()
	id, err := a.WriteRequestEvent(t.Context(), call(t, method))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func update(t *testing.T, a *Auditor, id int64, code codes.Code) {
	t.Helper()
	if err := a.UpdateRequestEvent(t.Context(), id, answer(t, code)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, a *Auditor) []*auditv1.Event {
	t.Helper()
	events, err := a.readEvents(t.Context(), noon.Add(-time.Hour), nil, window{})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestACallIsReadBackWithItsAnswer(t *testing.T) {
	a := auditor(t)
	update(t, a, write(t, a, "RequestAccess"), codes.PermissionDenied)
	want := call(t, "RequestAccess")
	want.Status = &status.Status{Code: 7, Message: "PermissionDenied"}
	want.Resources = append(want.Resources, &auditv1.Resource{TypeUrl: "t", Id: "answered"})
	want.ResponseMetadata = &auditv1.ResponseMetadata{Body: body(t, "response")}
	got := read(t, a)
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	if diff := cmp.Diff(want, got[0].GetEvent(), protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if !proto.Equal(got[0].GetOccurredAt(), timestamppb.New(noon)) {
		t.Errorf("it happened at %v", got[0].GetOccurredAt())
	}
}

// Clutch begins a row with status 0: what timed out, panicked or lost its end would read as success.
func TestACallWithoutOutcomeIsNoSuccess(t *testing.T) {
	a := auditor(t)
	write(t, a, "Unfinished")
	claims := call(t, "ClaimsSuccess")
	claims.Status = &status.Status{}
	if _, err := a.WriteRequestEvent(t.Context(), claims); err != nil {
		t.Fatal(err)
	}
	if err := a.UpdateRequestEvent(t.Context(), write(t, a, "Silent"), &auditv1.RequestEvent{}); err != nil {
		t.Fatal(err)
	}
	done := write(t, a, "Done")
	if err := a.UpdateRequestEvent(t.Context(), done, &auditv1.RequestEvent{Status: &status.Status{}}); err != nil {
		t.Fatal(err)
	}
	events := read(t, a)
	want := map[string]codes.Code{"Unfinished": codes.Unknown, "ClaimsSuccess": codes.Unknown, "Silent": codes.Unknown, "Done": codes.OK}
	if len(events) != len(want) {
		t.Fatalf("%d events", len(events))
	}
	for _, e := range events {
		r := e.GetEvent()
		if code := codes.Code(r.GetStatus().GetCode()); code != want[r.GetMethodName()] {
			t.Errorf("%s reads as %v", r.GetMethodName(), code)
		}
		if r.GetStatus() == nil || r.GetResponseMetadata() == nil || r.GetRequestMetadata() == nil {
			t.Errorf("%s has a part that Clutch needs, and that is nil: %v", r.GetMethodName(), r)
		}
	}
	if message := events[0].GetEvent().GetStatus().GetMessage(); !strings.HasPrefix(message, "no outcome was recorded") {
		t.Errorf("message %q", message)
	}
}

func TestAnAnswerIsWrittenThoughTheCallerIsGone(t *testing.T) {
	a := auditor(t)
	id := write(t, a, "RequestAccess")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.UpdateRequestEvent(ctx, id, answer(t, codes.OK)); err != nil {
		t.Fatal(err)
	}
	if code := read(t, a)[0].GetEvent().GetStatus().GetCode(); code != 0 {
		t.Fatalf("status %d", code)
	}
	if _, err := a.WriteRequestEvent(ctx, call(t, "Next")); err == nil {
		t.Fatal("a call of a caller that is gone was begun")
	}
}

func TestAnAnswerCountsOnce(t *testing.T) {
	a := auditor(t)
	id := write(t, a, "RequestAccess")
	update(t, a, id, codes.PermissionDenied)
	if err := a.UpdateRequestEvent(t.Context(), id, answer(t, codes.OK)); err == nil {
		t.Fatal("a second answer was taken")
	}
	if err := a.UpdateRequestEvent(t.Context(), id+1, answer(t, codes.OK)); err == nil {
		t.Fatal("an answer to no call was taken")
	}
	if code := read(t, a)[0].GetEvent().GetStatus().GetCode(); code != int32(codes.PermissionDenied) {
		t.Fatalf("status %d", code)
	}
}

func TestEventsAreReadByTimeAndWindow(t *testing.T) {
	a := auditor(t)
	at := noon
	a.now = func() time.Time { return at }
	const many = readBatch + 30
	for n := range many {
		at = noon.Add(time.Duration(n) * time.Second)
		write(t, a, "m")
	}
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	end := func(n int) *time.Time { e := second(n); return &e }
	tests := []struct {
		name        string
		start       time.Time
		end         *time.Time
		w           window
		first, size int
	}{
		{"until now", noon, nil, window{}, 0, many},
		{"since", second(10), nil, window{}, 10, many - 10},
		{"between", second(10), end(20), window{}, 10, 10},
		{"nothing", second(-20), end(0), window{}, 0, 0},
		{"a page", noon, nil, window{skip: 7, limit: 5}, 7, 5},
		{"a page over a batch's end", noon, nil, window{skip: readBatch - 2, limit: 5}, readBatch - 2, 5},
		{"the last page", noon, nil, window{skip: many - 2, limit: 5}, many - 2, 2},
		{"beyond", noon, nil, window{skip: many + 1, limit: 5}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			events, err := a.readEvents(t.Context(), test.start, test.end, test.w)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) != test.size {
				t.Fatalf("%d events, want %d", len(events), test.size)
			}
			for i, e := range events {
				if want := second(test.first + i); !e.GetOccurredAt().AsTime().Equal(want) {
					t.Fatalf("event %d is of %v, want %v", i, e.GetOccurredAt().AsTime(), want)
				}
			}
		})
	}
}

func TestTheLogSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db := openStore(t, path)
	a := newAuditor(db, nil, zaptest.NewLogger(t), tally.NoopScope, func() time.Time { return noon })
	update(t, a, write(t, a, "Done"), codes.OK)
	write(t, a, "Cut off")
	before := read(t, a)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	a = newAuditor(openStore(t, path), nil, zaptest.NewLogger(t), tally.NoopScope, func() time.Time { return noon })
	if diff := cmp.Diff(before, read(t, a), protocmp.Transform()); diff != "" || len(before) != 2 {
		t.Fatalf("events (-before +after):\n%s", diff)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	for _, name := range []string{storeservice.Name, "clutch.service.other"} {
		old, had := service.Registry[name]
		t.Cleanup(func() {
			delete(service.Registry, name)
			if had {
				service.Registry[name] = old
			}
		})
	}
	factory := func(sinks ...string) error {
		config, err := anypb.New(&configv1.Config{Sinks: sinks})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(config, zaptest.NewLogger(t), tally.NoopScope)
		if err == nil {
			t.Cleanup(s.(*Auditor).Stop)
		}
		return err
	}
	expect := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
	delete(service.Registry, storeservice.Name)
	expect(factory(), storeservice.Name)
	service.Registry[storeservice.Name] = &storeservice.Service{Driver: openStore(t, filepath.Join(t.TempDir(), "s.db"))}
	if err := factory(); err != nil {
		t.Error(err)
	}
	service.Registry["clutch.service.other"] = "no sink"
	expect(factory("clutch.service.other"), `sinks[0]: "clutch.service.other"`)
	expect(factory("clutch.service.absent"), `sinks[0]: "clutch.service.absent"`)
	service.Registry["clutch.service.other"] = &fakeSink{}
	expect(factory("clutch.service.other", "clutch.service.absent"), "sinks[1]")
	expect(factory("clutch.service.other", "clutch.service.other"), `sinks[1]: "clutch.service.other" stands there twice`)
	if err := factory("clutch.service.other"); err != nil {
		t.Error(err)
	}
	other, err := anypb.New(&auditv1.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(other, zaptest.NewLogger(t), tally.NoopScope); err == nil {
		t.Error("another configuration was taken")
	}
}
