package haproxyaccess

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service"

	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// audited are the events of a verb in Clutch's audit log, with what each is about.
func (w *world) audited(verb string) (bodies []*haproxyaccessv1.GrantEvent, resources []*auditv1.Resource) {
	w.t.Helper()
	auditor := service.Registry[auditservice.Name].(*auditservice.Auditor)
	events, err := auditor.ReadEvents(w.t.Context(), time.Now().Add(-time.Hour), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		body := &haproxyaccessv1.GrantEvent{}
		if e.GetEvent().GetMethodName() != verb {
			continue
		}
		if err := e.GetEvent().GetRequestMetadata().GetBody().UnmarshalTo(body); err != nil {
			w.t.Fatal(err)
		}
		bodies, resources = append(bodies, body), append(resources, e.GetEvent().GetResources()...)
	}
	return bodies, resources
}

func TestDriftIsInClutchsAuditLogWithItsRows(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	if v := w.request(s, "staging"); v.Enforcement != enforced(1) {
		t.Fatalf("enforcement %+v", v.Enforcement)
	}
	const mallory = "mallory@example.com|prod/db"
	w.node.EditMemory("grants.map", func(rows []dataplanetest.Entry) []dataplanetest.Entry {
		return append(rows, dataplanetest.Entry{Key: mallory, Value: "9999999999:g9"})
	})
	w.eventually("the audit log has the drift", func() bool { bodies, _ := w.audited("drift"); return len(bodies) > 0 })
	bodies, resources := w.audited("drift")
	if len(bodies) != 1 || resources[0].GetId() != "n1" || resources[0].GetTypeUrl() != "haproxyaccess.v1.Node" {
		t.Fatalf("%v about %v", bodies, resources)
	}
	d := bodies[0].GetDrift()
	if d.GetNode() != "n1" || !slices.Equal(d.GetEnvironments(), []string{"staging", "prod"}) || d.GetForeignRows() != 1 ||
		d.GetChangedRows()+d.GetMissingRows() != 0 || !slices.Equal(d.GetRows(), []string{"grants.map: foreign " + mallory}) {
		t.Errorf("drift %v", d)
	}
	if slices.ContainsFunc(w.node.Memory("grants.map"), func(e dataplanetest.Entry) bool { return e.Key == mallory }) {
		t.Error("it is still there")
	}
}

// The old policy stays, and the log has it once: not again for the same files, nor when they come back.
func TestARefusedPolicyIsInClutchsAuditLogOnce(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	file := w.config.Policy.Files[0]
	write := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	wrong := strings.Replace(testPolicy, "match", "mtach", 1)
	refused := func(n int) func() bool {
		return func() bool { return w.logs.FilterMessageSnippet("refused as a whole").Len() == n }
	}
	write(wrong)
	w.eventually("it is refused", refused(1))
	w.eventually("the audit log has it", func() bool { bodies, _ := w.audited("policy_refused"); return len(bodies) > 0 })
	write(testPolicy)
	w.eventually("the old one is back", func() bool {
		status, err := s.PolicyStatus(t.Context(), oscar)
		return err == nil && status.Error == ""
	})
	write(wrong)
	w.eventually("it is refused again", refused(2))
	write(strings.Replace(wrong, "1h", "2h", 1))
	w.eventually("another is refused", refused(3))
	w.eventually("the audit log has that", func() bool { bodies, _ := w.audited("policy_refused"); return len(bodies) > 1 })
	bodies, resources := w.audited("policy_refused")
	if len(bodies) != 2 || bodies[0].GetPolicyHash() == bodies[1].GetPolicyHash() || resources[0].GetTypeUrl() != "haproxyaccess.v1.Policy" {
		t.Fatalf("%v about %v", bodies, resources)
	}
	if b := bodies[0]; b.GetPolicy() != "test" || !strings.Contains(b.GetComment(), "mtach") || strings.Contains(b.GetComment(), "/") {
		t.Errorf("event %v", b)
	}
	if loaded, _ := w.audited("policy"); len(loaded) != 1 {
		t.Errorf("policies in force: %v", loaded)
	}
}

func TestADriftThatCannotBeKeptIsLoud(t *testing.T) {
	core, logs := zaptest.New(zap.DebugLevel)
	scope := tally.NewTestScope("", nil)
	newObserver(zap.New(core), scope).DriftNotKept("n1", errors.New("the store is away"))
	if logs.FilterLevelExact(zap.ErrorLevel).Len() != 1 || scope.Snapshot().Counters()["node.drift_not_kept+node=n1"].Value() != 1 {
		t.Errorf("logged %v, counted %v", logs.All(), scope.Snapshot().Counters())
	}
}
