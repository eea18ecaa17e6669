package access

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Bounds of what callers say.
const (
	MaxText   = 1000 // bytes of a reason, a comment, or one answer
	MaxInputs = 20   // answers to policy's questions
)

// maxAhead is how far ahead a window may begin, whatever policy says: nobody judges what the next years need.
const maxAhead = 366 * 24 * time.Hour

var inputName = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,31}\z`)

// idForm is what NewID makes: an id in another form is nobody's, and is not asked of the store, which may refuse its bytes.
var idForm = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,64}\z`)

// filterForm is what an environment, a pool, or nothing at all may be in a filter.
var filterForm = regexp.MustCompile(`\A[A-Za-z0-9._-]{0,64}\z`)

func checkPlace(environment, pool string) error {
	if !filterForm.MatchString(environment) || !filterForm.MatchString(pool) {
		return errorf(Invalid, "environment, pool: want at most 64 characters of A-Z, a-z, 0-9, . _ -")
	}
	return nil
}

func (s *Service) checkAsk(a Ask) error {
	if err := checkDuration(a.Duration); err != nil {
		return err
	}
	if err := checkReason(a.Reason); err != nil {
		return err
	}
	if err := s.checkAhead(a.StartsAt); err != nil {
		return err
	}
	return checkInputs(a.Inputs)
}

// checkDuration: zero asks for the default of the rule that decides.
func checkDuration(d time.Duration) error {
	if d < 0 || d%time.Second != 0 {
		return errorf(Invalid, "duration: want a positive number of whole seconds")
	}
	return nil
}

func (s *Service) checkAhead(at time.Time) error {
	if at.Sub(s.Now()) > maxAhead {
		return errorf(Invalid, "start_time: at most a year ahead")
	}
	return nil
}

func (s *Service) checkStart(at time.Time) error {
	if !at.IsZero() && !at.After(s.Now()) {
		return errorf(Invalid, "start_time: it has passed; leave it out to begin at once")
	}
	return s.checkAhead(at)
}

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return errorf(Invalid, "reason: say why")
	}
	return checkText("reason", reason)
}

func checkInputs(inputs map[string]string) error {
	if len(inputs) > MaxInputs {
		return errorf(Invalid, "inputs: at most %d", MaxInputs)
	}
	for name, value := range inputs {
		if !inputName.MatchString(name) {
			return errorf(Invalid, "inputs: a name has 1 to 32 of a-z, 0-9 and _, a letter first")
		}
		if err := checkText("inputs."+name, value); err != nil {
			return err
		}
	}
	return nil
}

// allStates and allVerbs are what a filter may name.
var allStates, allVerbs = words()

func words() (states []grant.State, verbs []grant.Verb) {
	verbs = grant.WithoutGrant()
	for _, t := range grant.Transitions() {
		states, verbs = append(states, t.To), append(verbs, t.Verb)
	}
	slices.Sort(states)
	slices.Sort(verbs)
	return slices.Compact(states), slices.Compact(verbs)
}

// among refuses words that are not among those allowed, and answers the others without doubles: a query is as long as
// there are such words, however often a caller names them.
func among[T cmp.Ordered](field string, words, allowed []T) ([]T, error) {
	var all []T
	for _, word := range words {
		if !slices.Contains(allowed, word) {
			return nil, errorf(Invalid, "%s: want any of %v", field, allowed)
		}
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all, nil
}

// checkText refuses what would garble a log or a page, or read as something else than it is: control characters but tab
// and newline, invisible and direction-changing ones, other line ends, and broken UTF-8.
func checkText(field, text string) error {
	if len(text) > MaxText {
		return errorf(Invalid, "%s: at most %d bytes", field, MaxText)
	}
	if !utf8.ValidString(text) {
		return errorf(Invalid, "%s: not UTF-8", field)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return errorf(Invalid, "%s: has a control character", field)
		}
	}
	return nil
}
