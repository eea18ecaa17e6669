package policy

import (
	"encoding/json"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Document is one file of a policy, parsed and checked by itself. Make one with Parse.
type Document struct {
	File string // as it was given to Parse; documents are gone through in the order of their files
	Name string

	nameAt position
	zone   string
	rules  []ruleSpec
	tests  []testSpec
}

// text is a string and where it stands. In the canonical form, over which the hash is taken, there are no places.
type text struct {
	value string
	at    position
}

func (t text) MarshalJSON() ([]byte, error) { return json.Marshal(t.value) }

// The types below are a document as it is written, with its defaults filled in. Their exported fields are the canonical
// form: what decides is in it, and where it stands is not.

type ruleSpec struct {
	at          position
	Name        text
	Description text
	Deny        bool
	Match       matchSpec
	Who         *whoSpec // nil: everybody
	When        []conditionSpec
	Limits      limitsSpec
	Require     []inputSpec
	Steps       []grant.Step
	Ordered     bool
	Auto        []conditionSpec
	Emergency   *emergencySpec
}

type matchSpec struct {
	Pools        []text
	Environments []text
	Tags         []text
}

type whoSpec struct {
	Groups   []text
	Users    []text
	Services []text
	Agents   []text
}

type conditionSpec struct {
	at        position
	Condition source
	Message   string
}

// source is a CEL expression. Its text begins at body, which is not where the value begins if that is a block.
type source struct {
	text
	body position
}

type limitsSpec struct {
	MaxDuration     time.Duration
	DefaultDuration time.Duration
	MaxTotal        time.Duration // zero: no bound
	MaxConcurrent   int           // zero: no bound
	Hours           []hoursSpec   // none: always
	PendingFor      time.Duration
	StartWithin     time.Duration
}

// hoursSpec is a time of the week. From and To are minutes after midnight; To is before From if it is on the next day.
type hoursSpec struct {
	Days     [7]bool // by time.Weekday
	From, To int
	Zone     string
	location *time.Location
}

type inputSpec struct {
	at          position
	Name        string
	Title       string
	Description string
	Choices     []string
	Optional    bool
	Condition   *source
	Message     string
}

type emergencySpec struct {
	Groups       []text
	MaxDuration  time.Duration
	Notify       []text
	ReviewGroups []text
	ReviewWithin time.Duration
}

type testSpec struct {
	name    string
	at      position
	request Request
	expect  expectation
}

// expectation is what a test wants; empty fields want nothing.
type expectation struct {
	at        position
	decision  string // one of the three words
	rule      string
	approvers []string
	message   string
	// approversGiven tells "nobody" from "not said".
	approversGiven bool
}

// The words of a test's expectation.
const (
	wordAllow    = "allow"    // at once
	wordApproval = "approval" // people must approve
	wordDeny     = "deny"
)
