package lab

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// What became of a grant is kept, node by node: when its row was written, read back and removed, and by HAProxy's log when
// it was used first and last, how often, and what was refused after its end.
func recordOfAGrant(t *testing.T, l *lab) {
	const uses, refusals = 7, 3
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	l.admitted(stage.ProdBilling, token)
	begin := time.Now().Add(-stage.Hang)
	for range uses {
		require.Equal(t, http.StatusOK, l.Visit(http.DefaultClient, stage.ProdBilling, token).Status)
	}
	l.Revoke(stage.Alice, g)
	l.AwaitEnforced(g)
	for range refusals {
		l.Refused(l.Visit(http.DefaultClient, stage.ProdBilling, token), http.StatusForbidden, "no_grant")
	}
	var last map[string]object
	stage.Eventually(t, "HAProxy's log is counted", func() bool {
		last = l.nodeReports(g)
		for _, n := range l.Serving("prod") {
			r := last[n.Name]
			if r == nil || r["removeTime"] == nil || number(r["refusedAfterEnd"]) < refusals || number(r["admitted"]) < uses {
				return false
			}
		}
		return true
	})
	require.Len(t, last, 2)
	for node, r := range last {
		at := func(field string) time.Time { return l.Time(r[field]) }
		require.False(t, at("verifyTime").Before(at("writeTime")), "%s: %v", node, r)
		require.False(t, at("firstAdmittedTime").Before(at("writeTime").Add(-time.Second)), "used before it was written, %s: %v", node, r)
		require.False(t, at("lastAdmittedTime").Before(at("firstAdmittedTime")), "%s: %v", node, r)
		require.True(t, at("removeTime").After(at("verifyTime")), "%s: %v", node, r)
		require.False(t, at("lastAdmittedTime").After(at("removeTime")), "used after it was removed, %s: %v", node, r)
		require.True(t, at("firstRefusedAfterEndTime").After(at("lastAdmittedTime")), "%s: %v", node, r)
		require.True(t, at("writeTime").After(begin), "%s: %v", node, r)
		require.NotZero(t, number(r["revision"]), "%s: %v", node, r)
		t.Logf("%s: written, read back %s later; removed %s after it was asked for access last; %v admitted, %v refused after the end", node,
			at("verifyTime").Sub(at("writeTime")), at("removeTime").Sub(at("lastAdmittedTime")), r["admitted"], r["refusedAfterEnd"])
	}
}

// number is one of 64 bits, which the API writes as a text; 0 if it is not there.
func number(value any) int64 {
	text, _ := value.(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
