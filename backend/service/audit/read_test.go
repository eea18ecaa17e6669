package audit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service/audit"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// rowLog is a log with as many rows as are asked for, of which one may be broken.
type rowLog struct {
	Log
	rows, broken int64
	fails        error
}

func (l rowLog) ReadAudit(_ context.Context, _, _ time.Time, after int64, limit int) ([]store.AuditRow, error) {
	if l.fails != nil {
		return nil, l.fails
	}
	request, err := proto.Marshal(&auditv1.RequestEvent{MethodName: "m"})
	if err != nil {
		return nil, err
	}
	var page []store.AuditRow
	for id := after + 1; id <= l.rows && len(page) < limit; id++ {
		row := store.AuditRow{ID: id, At: noon, Request: request, Response: []byte{}}
		if id == l.broken {
			row.Response = []byte{0xff}
		}
		page = append(page, row)
	}
	return page, nil
}

func (l rowLog) Position(context.Context, string) (int64, error) { return 0, l.fails }

func (l rowLog) SetPosition(context.Context, string, int64) error { return nil }

func over(t *testing.T, l rowLog) *Auditor {
	return newAuditor(l, nil, zaptest.NewLogger(t), tally.NoopScope, func() time.Time { return noon })
}

// An answer that is too long is an error, and not one that seems whole.
func TestAnAnswerIsWholeOrAnError(t *testing.T) {
	fault := errors.New("fault")
	tests := map[string]struct {
		log  rowLog
		w    window
		size int
		err  string
	}{
		"as many as may be":             {rowLog{rows: 20_000}, window{}, 20_000, ""},
		"one more":                      {rowLog{rows: 20_001}, window{}, 0, "shorter time"},
		"a page of many":                {rowLog{rows: 50_000}, window{skip: 30_000, limit: 10}, 10, ""},
		"a page that is too long":       {rowLog{rows: 50_000}, window{limit: 30_000}, 0, "shorter time"},
		"a row that cannot be read":     {rowLog{rows: 10, broken: 7}, window{}, 0, "audit event 7"},
		"a row that nobody asked for":   {rowLog{rows: 10, broken: 7}, window{limit: 6}, 6, ""},
		"a log that cannot be read":     {rowLog{fails: fault}, window{}, 0, "fault"},
		"nothing, and nothing is wrong": {rowLog{}, window{}, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := over(t, test.log).readEvents(t.Context(), noon, nil, test.w)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if len(events) != test.size {
				t.Fatalf("%d events, want %d", len(events), test.size)
			}
		})
	}
}

// Clutch asks its auditor whether an event is wanted before it writes one.
func TestEveryEventIsWanted(t *testing.T) {
	var clutchs audit.Auditor = over(t, rowLog{})
	if !clutchs.Filter(&auditv1.Event{}) || !clutchs.Filter(nil) {
		t.Error("an event is left out")
	}
}

// What a sink cannot be told is counted and logged each time, and left out never.
func TestASinkThatCannotBeToldIsLoud(t *testing.T) {
	for name, test := range map[string]struct {
		log  rowLog
		text string
	}{
		"a row that cannot be read": {rowLog{rows: 3, broken: 2}, "audit event 2"},
		"a log that cannot be read": {rowLog{fails: errors.New("fault")}, "fault"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logged := observer.New(zap.ErrorLevel)
				scope := tally.NewTestScope("", nil)
				sink := &fakeSink{}
				a := newAuditor(test.log, []namedSink{{"s", sink}}, zap.New(core), scope, time.Now)
				a.sinks.start()
				time.Sleep(3*sinkPoll + sinkPoll/2)
				synctest.Wait()
				a.Stop()
				if n := scope.Snapshot().Counters()["sink_failed+"].Value(); n != 4 || logged.Len() != 4 {
					t.Fatalf("%d failures are counted, %d logged, in 4 tries", n, logged.Len())
				}
				fields := logged.All()[0].ContextMap()
				if text := fields["error"].(string); fields["sink"] != "s" || !strings.Contains(text, test.text) {
					t.Errorf("the log says %v", fields)
				}
				if len(sink.told) != int(max(test.log.broken-1, 0))*4 { // this log keeps no place: it begins anew each time
					t.Errorf("told %v", sink.told)
				}
			})
		})
	}
}

// stuckLog never ends a row by itself.
type stuckLog struct{ Log }

func (stuckLog) FinishAudit(ctx context.Context, _ int64, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// The outcome is written though its caller is gone: so something else must end the wait for a database that is stuck.
func TestAStuckStoreEndsAnOutcomeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuditor(stuckLog{}, nil, zap.NewNop(), tally.NoopScope, time.Now)
		began := time.Now()
		err := a.UpdateRequestEvent(t.Context(), 1, &auditv1.RequestEvent{})
		if waited := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || waited != 5*time.Second {
			t.Fatalf("after %v: %v", waited, err)
		}
	})
}
