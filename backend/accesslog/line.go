package accesslog

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A line is believed if it was written within these bounds around now, and dropped otherwise: one clock that is wrong by
// years must not stay in the record as the last use of a grant. It is written at the end of a request, which may have
// run for days.
const (
	oldest = 30 * 24 * time.Hour
	newest = time.Minute
)

var (
	grantID  = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,64}\z`)
	nodeName = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,63}\z`)
	version1 = regexp.MustCompile(`\A<[0-9]{1,3}>1 `)
)

// verdict is what a line is counted as.
type verdict int

const (
	admitted     verdict = iota + 1
	refused              // after the grant's end, as far as this node knows
	other                // a refusal that says nothing of a grant's end, or a line of HAProxy's that is no request
	unattributed         // a refusal for want of a row, by a token that names no grant
	malformed
)

// event is what is wanted of a line. Only admitted and refused have more than a verdict.
type event struct {
	verdict     verdict
	grant, node string
	at          time.Time
}

// record is what is read of the JSON; docs/architecture.md and the template of the enforcement part have the rest. "-" is
// HAProxy's word for a value that is not there.
type record struct {
	At         string `json:"at"` // epoch milliseconds
	Node       string `json:"node"`
	Grant      string `json:"grant"`       // of the row
	TokenGrant string `json:"token_grant"` // of a verified token of ours
	Decision   string `json:"decision"`
	Why        string `json:"why"`
}

// parser reads datagrams. Its methods must not be called at the same time.
type parser struct {
	bsd, ietf frame
	now       func() time.Time
}

func newParser(now func() time.Time) *parser { return &parser{newBSD(), newIETF(), now} }

// event reads one datagram.
func (p *parser) event(datagram []byte) event {
	frame := p.bsd
	if version1.Match(datagram) {
		frame = p.ietf
	}
	host, text, ok := frame.parse(datagram)
	if !ok {
		return event{verdict: malformed}
	}
	if !strings.HasPrefix(text, "{") {
		return event{verdict: other} // "Proxy f stopped", "Server b/s is DOWN"
	}
	var r record
	if json.Unmarshal([]byte(text), &r) != nil {
		return event{verdict: malformed}
	}
	if r.Node == "" {
		r.Node = host
	}
	return r.event(p.now())
}

func (r record) event(now time.Time) event {
	e := event{node: r.Node}
	e.verdict, e.grant = r.verdict()
	if e.verdict == other || e.verdict == unattributed {
		return event{verdict: e.verdict}
	}
	at, err := r.time(now)
	if err != nil || !grantID.MatchString(e.grant) || !nodeName.MatchString(e.node) {
		return event{verdict: malformed}
	}
	e.at = at
	return e
}

// verdict says what the line is, and of which grant. A refusal after the end belongs to the grant that the token names,
// since the row is gone by then; a token of an identity provider names none.
func (r record) verdict() (verdict, string) {
	switch r.Decision {
	case "allow":
		return admitted, r.Grant
	case "deny":
	default:
		return other, ""
	}
	token := absent(r.TokenGrant)
	switch r.Why {
	case "grant_expired":
		if token != "" {
			return refused, token
		}
		return refused, r.Grant
	case "no_grant", "other_grant":
		if token != "" {
			return refused, token
		}
		return unattributed, ""
	case "expired":
		// A token never outlives its grant. If the row is gone or another grant's, the grant is over as well; if it is
		// there, only the token was late.
		if token != "" && token != absent(r.Grant) {
			return refused, token
		}
	}
	return other, ""
}

func absent(value string) string {
	if value == "-" {
		return ""
	}
	return value
}

func (r record) time(now time.Time) (time.Time, error) {
	ms, err := strconv.ParseInt(r.At, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	at := time.UnixMilli(ms).UTC()
	if at.Before(now.Add(-oldest)) || at.After(now.Add(newest)) {
		return time.Time{}, errors.New("it is of another time")
	}
	return at, nil
}
