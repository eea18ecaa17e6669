package access

import (
	"fmt"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// given is what is said of a grant: policy's sentence while it decides or where it asks nobody, and afterwards by what it was
// given. Who must approve, and for how long that waits, would be wrong by then; the log has it.
func given(g grant.Grant) string {
	b := grant.Ballot{Steps: g.Steps, Ordered: g.Ordered, Approvals: g.Approvals}
	switch {
	case g.State == grant.Pending, len(g.Steps) == 0:
		return g.Explanation
	case !b.Complete():
		return "It was not given: not all have approved whom policy asks."
	}
	by := make([]string, len(g.Approvals))
	for i, a := range g.Approvals {
		by[i] = string(a.By)
	}
	return fmt.Sprintf("It was given by the approval of %s, by the rule %s.", strings.Join(by, " and "), g.Rule)
}
