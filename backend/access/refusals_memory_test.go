package access

import (
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// However many callers are refused, no more than so many are counted apart; what is over makes room.
func TestMemoryOfRefusalsIsBounded(t *testing.T) {
	var r refusals
	now := time.Unix(1_900_000_000, 0)
	somebody := func(i int) refuser { return refuser{who: grant.Subject(fmt.Sprintf("p%d@example.com", i))} }
	for i := range maxRefusers + 2*MaxRefused {
		r.add(somebody(i), now)
	}
	if got := len(r.counts); got > maxRefusers+2 {
		t.Errorf("%d callers are counted", got)
	}
	if spent, _ := r.spent(somebody(maxRefusers+2*MaxRefused), now); !spent {
		t.Error("those beyond are not counted at all")
	}
	if spent, _ := r.spent(refuser{who: "late@example.com", breakGlass: true}, now); spent {
		t.Error("an emergency is stopped by what others asked for")
	}
	if spent, _ := r.spent(somebody(1), now); spent {
		t.Error("somebody who was refused once is stopped")
	}
	r.add(somebody(-1), now.Add(time.Minute))
	if got := len(r.counts); got != 1 {
		t.Errorf("%d callers are counted a minute later", got)
	}
}
