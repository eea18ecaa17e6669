package oracle

import "time"

// Truth is what a condition says of a request.
type Truth int

// The answers. Unknown is a condition that reads what nobody knows.
const (
	No Truth = iota
	Yes
	Unknown
)

// Condition is an expression of a policy with its meaning.
type Condition struct {
	Text  string // as it stands in the document
	Means func(Facts) Truth
}

// Facts are what a condition may read.
type Facts struct {
	Subject, Kind     string
	Groups            []string
	Owner             string
	OwnerGroups       []string // nil if there is no owner or they are not known
	Environment, Pool string
	Tags              []string
	Duration, Total   time.Duration
	Reason            string
	BreakGlass        bool
	Extension         bool
	Start, Now        time.Time
	Inputs            map[string]string // declared by the rule, and given
}

// Rule is a rule of a policy. Lists that are empty are not written in the document.
type Rule struct {
	Name                            string
	Deny                            bool
	Pools, Environments, Tags       []string
	Everybody                       bool // there is no who
	Groups, Users, Services, Agents []string
	When                            []Condition

	MaxDuration, DefaultDuration, MaxTotal time.Duration
	MaxConcurrent                          int
	Hours                                  []Hours
	PendingFor, StartWithin                time.Duration // as written, or the default

	Inputs     []Input
	Steps      []Step
	Ordered    bool
	Auto       []Condition
	BreakGlass *BreakGlass
}

// Hours are a time of the week by the wall clock of a zone. From and To are minutes after midnight.
type Hours struct {
	Days     []time.Weekday
	From, To int
	Zone     string
}

// Input is a question to the requester.
type Input struct {
	Name      string
	Choices   []string
	Optional  bool
	Condition *Condition
}

// BreakGlass is what a rule gives in an emergency.
type BreakGlass struct {
	Groups       []string
	MaxDuration  time.Duration
	Notify       []string
	ReviewGroups []string
	ReviewWithin time.Duration
}

// Step is one thing that people must agree to: one of its quorums.
type Step struct{ AnyOf []Quorum }

// Quorum is so many people out of these groups.
type Quorum struct {
	Groups []string
	Count  int
}

// Place is a pool's full name in two parts.
type Place struct{ Environment, Pool string }

// Question is what policy is asked.
type Question struct {
	Subject     string
	Groups      []string
	Owner       string
	OwnerGroups []string // nil if not known
	Place       Place
	Tags        []string
	Duration    time.Duration
	Total       time.Duration
	Extension   bool
	Starts      time.Time // zero: now
	Now         time.Time
	Reason      string
	Inputs      map[string]string
	BreakGlass  bool
	Open        []Place // of the subject's other approved and active grants
}

// Answer is what policy says. Its zero value refuses.
type Answer struct {
	Allowed      bool
	Rule         string
	Steps        []Step
	Ordered      bool
	PendingFor   time.Duration
	BreakGlass   bool
	ReviewGroups []string
	ReviewWithin time.Duration
}
