package grant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Subject is who asks for access, in canonical form: a person's lower-case e-mail address, "service:<name>" or
// "agent:<name>". Lower-case ASCII, at most MaxSubject bytes, without '|' and '/'. HAProxy compares it byte by byte, so
// there is one spelling for each subject: of an address the domain is written out in full, as RFC 5321 has it, without the
// final dot that DNS reads as the same name. Make one with Person, Service, Agent or ParseSubject.
type Subject string

// MaxSubject is the longest subject in bytes.
const MaxSubject = 128

// ErrSubject is wrapped by every error that says why a name is no subject.
var ErrSubject = errors.New("not a subject")

const (
	servicePrefix = "service:"
	agentPrefix   = "agent:"

	atom  = `[a-z0-9_+-]+`
	label = `[a-z0-9](` + inner + `)?`
	inner = `[a-z0-9-]{0,61}[a-z0-9]`
)

// HAProxy's configuration holds the same alphabets. It need not hold the form of an address: what has another form has no row.
//
// A domain has two labels or more, each with a letter or digit at both ends, and the last one begins with a letter. So
// there is no empty label, no name that a resolver would complete, no number that is an address of the network, and no A-label that
// stands for ASCII alone (xn--example-).
var (
	personPattern  = regexp.MustCompile(`\A` + atom + `(\.` + atom + `)*@(` + label + `\.)+[a-z](` + inner + `)?\z`)
	machinePattern = regexp.MustCompile(`\A(service|agent):[a-z0-9._-]+\z`)
)

// Person makes the subject of a person out of an e-mail address in any letter case. Another form of an address is refused,
// not folded: who is let in by one is nobody else by the other. An address can never become a service or an agent. The error
// wraps ErrSubject and does not repeat the address.
func Person(email string) (Subject, error) {
	if err := checkLength(email); err != nil {
		return "", err
	}
	s := lowerASCII(email)
	if !personPattern.MatchString(s) {
		return "", fmt.Errorf("%w: a person is an e-mail address of letters, digits and . _ + - with one @ and a whole domain, without a dot at the end", ErrSubject)
	}
	return Subject(s), nil
}

// Service makes the subject of a service account out of its name, without prefix.
func Service(name string) (Subject, error) { return machine(servicePrefix, name) }

// Agent makes the subject of an agent out of its name, without prefix.
func Agent(name string) (Subject, error) { return machine(agentPrefix, name) }

// ParseSubject checks a name that is canonical already: it changes nothing, so an upper-case letter is an error. Use it
// for names out of the store, a filter or a configuration, never for a claim of an identity provider (see Person).
func ParseSubject(s string) (Subject, error) {
	if err := checkLength(s); err != nil {
		return "", err
	}
	if !personPattern.MatchString(s) && !machinePattern.MatchString(s) {
		return "", fmt.Errorf("%w: want a lower-case e-mail address, service:<name> or agent:<name>", ErrSubject)
	}
	return Subject(s), nil
}

// IsPerson reports whether s is a person, the only kind of subject that may approve.
func (s Subject) IsPerson() bool { return len(s) <= MaxSubject && personPattern.MatchString(string(s)) }

// IsService reports whether s is a service account.
func (s Subject) IsService() bool { return strings.HasPrefix(string(s), servicePrefix) }

// IsAgent reports whether s is an agent.
func (s Subject) IsAgent() bool { return strings.HasPrefix(string(s), agentPrefix) }

func machine(prefix, name string) (Subject, error) {
	if err := checkLength(prefix + name); err != nil {
		return "", err
	}
	s := prefix + lowerASCII(name)
	if !machinePattern.MatchString(s) {
		return "", fmt.Errorf("%w: the name after %q has letters, digits and . _ - only", ErrSubject, prefix)
	}
	return Subject(s), nil
}

func checkLength(s string) error {
	if s == "" {
		return fmt.Errorf("%w: it is empty", ErrSubject)
	}
	if len(s) > MaxSubject {
		return fmt.Errorf("%w: it is longer than %d bytes", ErrSubject, MaxSubject)
	}
	return nil
}

// lowerASCII lowers A to Z alone. strings.ToLower would also turn U+212A (the Kelvin sign) into k and so make one
// person out of two.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
