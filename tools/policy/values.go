package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// names is an option's list of names, between commas. It may be given more than once. It tells "none" from "not given",
// since an owner without groups is known, and one of whom nothing is said is not.
type names struct {
	list  []string
	given bool
}

func (n *names) String() string { return strings.Join(n.list, ",") }

// Set implements flag.Value.
func (n *names) Set(s string) error {
	if n.list == nil {
		n.list = []string{}
	}
	n.given = true
	if s == "" {
		return nil
	}
	for _, name := range strings.Split(s, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("a name is empty")
		}
		n.list = append(n.list, name)
	}
	return nil
}

// pools is an option's list of pools.
type pools []grant.Pool

func (p *pools) String() string { return "" }

// Set implements flag.Value.
func (p *pools) Set(s string) error {
	for _, full := range strings.Split(s, ",") {
		pool, err := grant.ParsePool(strings.TrimSpace(full))
		if err != nil {
			return err
		}
		*p = append(*p, pool)
	}
	return nil
}

// length is an option's duration, zero if it is not given. The gateway refuses to be asked for none.
type length struct{ time.Duration }

func (l *length) String() string { return "" }

// Set implements flag.Value.
func (l *length) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("want a duration like 90m, above zero")
	}
	l.Duration = d
	return nil
}

// assignments is an option of the form name=value that is given more than once, each name once.
type assignments map[string]string

func (a assignments) String() string { return "" }

// Set implements flag.Value.
func (a assignments) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("want name=value")
	}
	if _, twice := a[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	a[name] = value
	return nil
}

// moment is an option's point of time.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

// Set implements flag.Value.
func (m *moment) Set(s string) error {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return errors.New("want a time like 2026-03-02T10:00:00+01:00")
	}
	m.Time = at
	return nil
}

// span writes a duration as people and documents do: 1h, 90m as 1h30m.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// plain takes out of foreign text what a terminal would act on.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || 0x7f <= r && r < 0xa0 || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
