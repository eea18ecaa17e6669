package haproxyaccess

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func enforced(n int) access.Enforcement { return access.Enforcement{NodesTotal: 1, NodesEnforced: n} }

func TestI1AGrantsRowIsOnTheNodeWhileItIsActiveAndNotBeforeOrAfter(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	at := time.Now()
	v := w.request(s, "staging")
	if v.Grant.State != grant.Active || v.Enforcement != enforced(1) {
		t.Fatalf("grant %+v, enforcement %+v", v.Grant, v.Enforcement)
	}
	if !w.holds(v) {
		t.Errorf("rows %v", w.node.Memory("grants.map"))
	}
	pending := w.request(s, "prod")
	if pending.Grant.State != grant.Pending || len(w.node.Memory("grants.map")) != 1 {
		t.Errorf("%s, rows %v", pending.Grant.State, w.node.Memory("grants.map"))
	}
	d := access.Decision{GrantID: pending.Grant.ID, Etag: pending.Etag}
	if _, err := s.Approve(t.Context(), alice, d, w.key()); err == nil {
		t.Error("I11: approved by its own subject")
	}
	approved, err := s.Approve(t.Context(), bob, d, w.key())
	if err != nil || approved.Enforcement != enforced(1) || !w.holds(approved) {
		t.Errorf("approval: %+v, %v", approved.Enforcement, err)
	}
	w.fixed(at)

	for _, ends := range []access.View{v, approved} {
		over := w.revoke(s, ends.Grant.ID)
		if over.Enforcement.NodesEnforced != 1 || !over.Enforcement.StreamsNotCut {
			t.Errorf("enforcement %+v", over.Enforcement)
		}
		if w.holds(ends) {
			t.Error("the row is still there")
		}
	}
	if rows, file := w.node.Memory("grants.map"), w.node.File("grants.map"); len(rows) != 0 || strings.Contains(file, "|") {
		t.Errorf("rows %v, file %q", rows, file)
	}
}

// fixed checks the rows that follow from the configuration, and that prod has a lease and staging, by choice, a long one.
func (w *world) fixed(begun time.Time) {
	w.t.Helper()
	for _, c := range []struct{ name, key, want string }{
		{"hosts.map", "db.staging.example", "staging/db"}, {"hosts.map", "db.prod.example", "prod/db"},
		{"pools.map", "staging/db", "be_staging"}, {"pools.map", "prod/db", "be_app"},
	} {
		if memory, file := w.row(c.name, c.key); memory != c.want || file != c.want {
			w.t.Errorf("%s %s: %q and %q, want %q", c.name, c.key, memory, file, c.want)
		}
	}
	kids := w.node.Memory("kids.map")
	if len(kids) != 1 || !strings.HasPrefix(kids[0].Key, "clutch|") || !strings.HasPrefix(kids[0].Value, "/etc/haproxy/keys/") {
		w.t.Errorf("kids %v", kids)
	}
	memory, file := w.row("leases.map", "prod")
	until, err := strconv.ParseInt(memory, 10, 64)
	if err != nil || memory != file || until < begun.Add(29*time.Second).Unix() || until > time.Now().Add(31*time.Second).Unix() {
		w.t.Errorf("lease of prod %q and %q, %v", memory, file, err)
	}
	if memory, _ := w.row("leases.map", "staging"); memory <= strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10) {
		w.t.Errorf("lease of staging, which is off: %q", memory)
	}
}

// An unreachable node is no error: the grant is active and enforced nowhere. When the node comes back it converges (I8).
func TestI8ANodeThatIsDownIsNoErrorAndConvergesWhenItComesBack(t *testing.T) {
	for name, c := range map[string]struct{ down, up func(*dataplanetest.Server) }{
		"HAProxy is down": {
			func(n *dataplanetest.Server) { n.SetDown(true) }, func(n *dataplanetest.Server) { n.Reload() }},
		"the API does not answer": {
			func(n *dataplanetest.Server) {
				n.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.Refuse })
			},
			func(n *dataplanetest.Server) { n.SetFault(nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start()
			first := w.request(s, "staging")
			if first.Enforcement != enforced(1) {
				t.Fatalf("enforcement %+v", first.Enforcement)
			}
			c.down(w.node)
			d := w.request(s, "prod")
			opened, err := s.Approve(t.Context(), bob, access.Decision{GrantID: d.Grant.ID, Etag: d.Etag}, w.key())
			if err != nil || opened.Grant.State != grant.Active || opened.Enforcement != enforced(0) {
				t.Errorf("%s, %+v, %v", opened.Grant.State, opened.Enforcement, err)
			}
			ended := w.revoke(s, first.Grant.ID)
			if ended.Enforcement.NodesEnforced != 0 {
				t.Errorf("I2: a revocation that the node did not hear of counts as enforced: %+v", ended.Enforcement)
			}
			c.up(w.node)
			w.eventually("the node is right", func() bool {
				v, err := s.Get(t.Context(), alice, opened.Grant.ID)
				return err == nil && v.Enforcement == enforced(1)
			})
			if !w.holds(opened) || w.holds(first) {
				t.Errorf("rows %v", w.node.Memory("grants.map"))
			}
		})
	}
}

// I5: what was acknowledged and not applied before the gateway died is applied by the next one.
func TestI5WhatWasCommittedAndNotAppliedIsAppliedAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.node.SetDown(true)
	s := w.start()
	opened := w.request(s, "staging")
	s.Stop()
	w.node.SetDown(false)
	if len(w.node.Memory("grants.map")) != 0 {
		t.Fatal("the node was told though it was down")
	}
	w.start()
	w.eventually("the row is there", func() bool {
		memory, file := w.row("grants.map", "alice@example.com|staging/db")
		return memory != "" && memory == file
	})
	if !w.holds(opened) {
		t.Errorf("rows %v", w.node.Memory("grants.map"))
	}
}

// The clock ends a grant in the record, its row goes, and Clutch's audit log has every step.
func TestI7EveryStepReachesClutchsAuditLogTheBackgroundExpiryToo(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	begun := time.Now().Add(-time.Second)
	v, err := s.Request(t.Context(), alice,
		access.Ask{Environment: "staging", Pool: "db", Duration: 2 * time.Second, Reason: "a moment"}, w.key())
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("it has expired", func() bool {
		got, err := s.Get(t.Context(), alice, v.Grant.ID)
		return err == nil && got.Grant.State == grant.Expired && got.Enforcement.NodesEnforced == 1
	})
	w.eventually("the row is gone", func() bool { return len(w.node.Memory("grants.map")) == 0 })
	auditor := service.Registry[auditservice.Name].(*auditservice.Auditor)
	count := func(verb string) int {
		events, err := auditor.ReadEvents(t.Context(), begun, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range events {
			if strings.Contains(strings.ToLower(e.GetEvent().GetMethodName()), verb) {
				n++
			}
		}
		return n
	}
	for _, verb := range []string{"request", "complete", "activate", "expire"} {
		w.eventually("the audit log has "+verb, func() bool { return count(verb) >= 1 })
	}
}

// I14: a node that echoes the password, the password itself, the encryption key, private keys and tokens show nowhere.
func TestI14NoSecretIsInLogsStatusOrErrors(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	v := w.request(s, "staging")
	token, _, err := s.IssueToken(t.Context(), alice, v.Grant.ID)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for _, f := range []dataplanetest.Fault{dataplanetest.Status401, dataplanetest.Echo500, dataplanetest.Status503} {
		w.node.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return f })
		failures := w.logs.FilterMessage("a pass over a node failed").Len()
		for _, server := range s.Fleet.Servers(t.Context(), grant.Pool{Environment: "prod", Name: "db"}) {
			shown.WriteString(server.Error + "\n")
		}
		_, err := s.AddServer(t.Context(), oscar, "prod", "db", access.Server{Name: "s9", Address: "127.0.0.1", Port: 1}, w.key())
		var refused *access.Error
		if !errors.As(err, &refused) || refused.Code != access.Unavailable {
			t.Errorf("fault %d: %v", f, err)
		} else {
			shown.WriteString(refused.Message + "\n")
		}
		w.eventually("a pass failed", func() bool {
			return w.logs.FilterMessage("a pass over a node failed").Len() > failures
		})
		w.eventually("the status says so", func() bool {
			nodes, err := s.Nodes(t.Context(), oscar, "")
			if err != nil || len(nodes) != 1 {
				t.Fatalf("nodes %v, %v", nodes, err)
			}
			shown.WriteString(nodes[0].Error + "\n")
			return !nodes[0].Healthy && nodes[0].Error != ""
		})
	}
	all := shown.String() + w.logText()
	for name, secret := range map[string]string{
		"the password":                         dataplanetest.Password,
		"the Authorization header":             base64.StdEncoding.EncodeToString([]byte(dataplanetest.Username + ":" + dataplanetest.Password)),
		"the encryption key":                   encryptionKey,
		"the encryption key, as it is written": base64.StdEncoding.EncodeToString([]byte(encryptionKey)),
		"a private key":                        "PRIVATE KEY",
		"the token":                            token,
		"the token's signature":                token[strings.LastIndex(token, ".")+1:],
	} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in:\n%s", name, all)
		}
	}
	if !strings.Contains(all, "401") {
		t.Errorf("the failure itself does not show:\n%s", all)
	}
}
