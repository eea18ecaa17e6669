package grant

import (
	"fmt"
	"strings"
)

// Reason is what an error of Advance or Ask says, as a sentence to whoever asked for it.
func Reason(err error) string {
	text := err.Error()
	for _, kind := range []error{ErrTransition, ErrAction} {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// ends says how a grant has come to a final state.
var ends = map[State]string{
	Denied: "it was denied", Cancelled: "it was cancelled", Lapsed: "it has lapsed", Expired: "its time was over", Revoked: "it was revoked",
}

// impossible says why there is no such transition.
func impossible(s State, v Verb) error {
	switch how := ends[s]; {
	case v == DoReview:
		return fmt.Errorf("%w: there is nothing to review", ErrTransition)
	case how != "":
		return fmt.Errorf("%w: it has ended already: %s", ErrTransition, how)
	case s == Active && v == Cancel:
		return fmt.Errorf("%w: it is active already", ErrTransition)
	case s == Pending || s == Approved:
		return fmt.Errorf("%w: it is not active yet", ErrTransition)
	default:
		return fmt.Errorf("%w: a grant that is %s cannot %s", ErrTransition, s, v)
	}
}
