package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// filler sets every field of a value that it can reach, each to another value, so that neither a field that the codec
// forgets nor two that it mixes up go unseen. A field of a kind that it does not know ends the test: it must learn it.
type filler struct {
	t    *testing.T
	n    int
	path []string
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch value := v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.UnixMilli(1_900_000_000_000 + int64(f.n)).UTC()))
		return
	case time.Duration:
		v.Set(reflect.ValueOf(time.Duration(f.n) * time.Second))
		return
	case map[string]string:
		v.Set(reflect.ValueOf(map[string]string{fmt.Sprintf("k%d", f.n): fmt.Sprintf("v%d", f.n)}))
		return
	default:
		_ = value
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.path = append(f.path, v.Type().Field(i).Name)
			f.fill(v.Field(i))
			f.path = f.path[:len(f.path)-1]
		}
	default:
		f.t.Fatalf("%s is a %s: how is that filled?", strings.Join(f.path, "."), v.Type())
	}
}

func TestNoFieldIsForgotten(t *testing.T) {
	var e grant.Event
	(&filler{t: t}).fill(reflect.ValueOf(&e).Elem())
	raw, err := EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEvent(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got); diff != "" {
		t.Errorf("event (-written +read):\n%s", diff)
	}
	if raw, err = EncodeLock(e.Lock); err != nil {
		t.Fatal(err)
	}
	if l, err := DecodeLock(raw); err != nil || l != e.Lock {
		t.Errorf("lock %+v, %v; want %+v", l, err, e.Lock)
	}
}

// A field that is set alone is kept as well: one whose presence is told by another would be lost.
func TestAFieldAloneIsKept(t *testing.T) {
	var all grant.Event
	(&filler{t: t}).fill(reflect.ValueOf(&all).Elem())
	var alone func(from, to reflect.Value, path string, check func(string))
	alone = func(from, to reflect.Value, path string, check func(string)) {
		if from.Kind() == reflect.Struct && from.Type() != reflect.TypeFor[time.Time]() {
			for i := range from.NumField() {
				alone(from.Field(i), to.Field(i), path+"."+from.Type().Field(i).Name, check)
			}
			return
		}
		to.Set(from)
		check(path)
		to.SetZero()
	}
	var e grant.Event
	alone(reflect.ValueOf(all), reflect.ValueOf(&e).Elem(), "event", func(path string) {
		raw, err := EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEvent(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%s alone (-written +read):\n%s", path, diff)
		}
	})
}

// The stored names are written down, and are not those of Go.
func TestNoStoredNameIsGos(t *testing.T) {
	var e grant.Event
	(&filler{t: t}).fill(reflect.ValueOf(&e).Elem())
	raw, err := EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(raw), `"`) {
		if strings.ToLower(part) != part {
			t.Errorf("%q stands in %s", part, raw)
		}
	}
}

// FuzzRoundTrip: whatever people write, and whatever times and numbers a grant has, is read as it was written. A grant
// holds text as JSON has it (valid UTF-8), whole milliseconds and whole seconds.
func FuzzRoundTrip(f *testing.F) {
	f.Add("alice@example.com", "look <at> \"it\" & \\ \u2028 \u0000 \u00e9", "sre", int64(1_900_000_000_123), int64(900), int64(1), uint16(0))
	f.Add("", "", "", int64(0), int64(0), int64(0), uint16(1<<16-1))
	f.Add("a|b/c", "{\"id\":\"g2\"}", ",", int64(-1), int64(-1), int64(-1), uint16(7))
	f.Fuzz(func(t *testing.T, who, text, group string, ms, seconds, number int64, present uint16) {
		e, ok := eventOf(who, text, group, ms, seconds, number, present)
		if !ok {
			return
		}
		raw, err := EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEvent(raw)
		if err != nil {
			t.Fatalf("%s does not read back: %v", raw, err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("event (-written +read):\n%s", diff)
		}
		if raw, err = EncodeGrant(e.Grant); err != nil {
			t.Fatal(err)
		}
		g, err := DecodeGrant(raw)
		if err != nil {
			t.Fatalf("%s does not read back: %v", raw, err)
		}
		if diff := cmp.Diff(e.Grant, g); diff != "" {
			t.Errorf("grant (-written +read):\n%s", diff)
		}
	})
}

// eventOf makes an event out of any values, and says whether it is one that could be there. present's bits choose which
// of the parts that may be missing are there.
func eventOf(who, text, group string, ms, seconds, number int64, present uint16) (grant.Event, bool) {
	const century = 100 * 365 * 24 * 3600
	for _, s := range []string{who, text, group} {
		if strings.ToValidUTF8(s, "") != s {
			return grant.Event{}, false
		}
	}
	if seconds < -century || seconds > century || ms < 0 || ms > 80*century*1000 {
		return grant.Event{}, false
	}
	has := func(bit int) bool { return present&(1<<bit) != 0 }
	when := func(bit int) time.Time {
		if !has(bit) || ms+int64(bit) == 0 { // 1970's first moment is that of no time
			return time.Time{}
		}
		return time.UnixMilli(ms + int64(bit)).UTC()
	}
	g := grant.Grant{
		ID: text, Subject: grant.Subject(who), Pool: grant.Pool{Environment: group, Name: who}, State: grant.State(group),
		Reason: text, Duration: time.Duration(seconds) * time.Second, Rule: group, Policy: text, PolicyHash: who, Explanation: text,
		RequestedAt: when(0), StartsAt: when(1), LapsesAt: when(2), ActivatedAt: when(3), ExpiresAt: when(4), EndedAt: when(5),
		Cause: grant.Cause(text), Comment: group, Version: number, BreakGlass: has(8), Ordered: has(9),
	}
	e := grant.Event{From: grant.State(who), Verb: grant.Verb(group), Actor: grant.Subject(text), Comment: who, At: when(2)}
	if has(6) {
		g.Owner, g.EndedBy, g.Groups = grant.Subject(text), grant.Subject(group), []string{group, who, ""}
		g.Inputs = map[string]string{group: text, "": who}
	}
	votes := []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{who, group}, Count: int(number)}, {}}}, {}}
	yes := []grant.Approval{{By: grant.Subject(text), At: when(0), Comment: who, Groups: []string{group}}, {}}
	if has(7) {
		g.Steps, g.Approvals = votes, yes
	}
	if has(10) {
		g.Review = grant.Review{Groups: []string{who}, DueAt: when(0), By: grant.Subject(group), Comment: text}
	}
	if has(11) {
		g.Extension = grant.Extension{By: g.Duration, Reason: text, Steps: votes, Approvals: yes, LapsesAt: when(1), Policy: who}
	}
	if has(12) {
		e.Lock = grant.Lock{ID: text, Subject: grant.Subject(who), Environment: group, Until: when(4)}
	}
	e.Grant = g
	return e, true
}
