package policy_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func TestWithoutAPolicyEverythingIsRefused(t *testing.T) {
	var c policy.Current
	refused := func() {
		t.Helper()
		want := policy.Decision{Explanation: "No policy is in force.", TimedOut: true}
		d, findings := c.Explain(t.Context(), ask())
		if diff := cmp.Diff([]policy.Decision{want, want}, []policy.Decision{d, c.Evaluate(t.Context(), ask())}); diff != "" {
			t.Error(diff)
		}
		name, hash := c.Version()
		if findings != nil || c.Policy() != nil || name != "" || hash != "" || c.Approvers(grant.Pool{}, nil) != nil {
			t.Errorf("%v %v %q %q", findings, c.Policy(), name, hash)
		}
	}
	refused()
	c.Set(compile(t, head+allowing("r")))
	if !c.Evaluate(t.Context(), ask()).Allowed {
		t.Error("it is not in force")
	}
	c.Set(nil)
	refused()
}

func TestCurrentAnswersLikeItsPolicy(t *testing.T) {
	p := compile(t, head+everything)
	var c policy.Current
	c.Set(p)
	d, findings := p.Explain(t.Context(), ask())
	cd, cfindings := c.Explain(t.Context(), ask())
	if diff := cmp.Diff(d, cd) + cmp.Diff(findings, cfindings) + cmp.Diff(d, c.Evaluate(t.Context(), ask())); diff != "" || len(findings) != 1 {
		t.Error(diff)
	}
	name, hash := c.Version()
	if wantName, wantHash := p.Version(); name != wantName || hash != wantHash || c.Policy() != p {
		t.Errorf("%q %q", name, hash)
	}
	if diff := cmp.Diff(p.Approvers(ask().Pool, nil), c.Approvers(ask().Pool, nil)); diff != "" {
		t.Error(diff)
	}
}

// Each answer is of one policy as a whole, whenever it is exchanged.
func TestAnExchangedPolicyAnswersAsAWhole(t *testing.T) {
	policies := map[string]*policy.Policy{}
	var c policy.Current
	var all []*policy.Policy
	for _, name := range []string{"a", "b"} {
		p := compile(t, strings.Replace(head, "name: t", "name: "+name, 1)+allowing("of-"+name, "when: [{condition: 'true', message: m}]"))
		policies["of-"+name] = p
		all = append(all, p)
	}
	c.Set(all[0])
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 500 {
				c.Set(all[i%2])
				d := c.Evaluate(t.Context(), ask())
				name, hash := policies[d.Rule].Version()
				if !d.Allowed || d.Policy != name || d.Hash != hash {
					t.Errorf("%+v", d)
				}
			}
		})
	}
	group.Wait()
}
