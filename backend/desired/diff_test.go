package desired

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// running is a map in HAProxy's memory as 2.6 keeps it: a list in which a key can stand more than once.
type running []Row

// look is what a request finds.
func (m running) look(key string) (string, bool) {
	for _, r := range m {
		if r.Key == key {
			return r.Value, true
		}
	}
	return "", false
}

// del removes every row of the key; it fails if there is none.
func (m *running) del(key string) bool {
	n := len(*m)
	*m = slices.DeleteFunc(*m, func(r Row) bool { return r.Key == key })
	return len(*m) < n
}

// set changes the first row of the key and leaves doubles behind it, the worst that was seen; it fails if there is none.
func (m running) set(key, value string) bool {
	for i, r := range m {
		if r.Key == key {
			m[i].Value = value
			return true
		}
	}
	return false
}

// add appends, whatever is there: it does not replace.
func (m *running) add(r Row) { *m = append(*m, r) }

// apply carries the changes out in their order and fails where HAProxy would refuse one.
func (m *running) apply(t interface{ Fatalf(string, ...any) }, c Changes) {
	for _, key := range c.Remove {
		if !m.del(key) {
			t.Fatalf("remove of %q, which is not there", key)
		}
	}
	for _, r := range c.Set {
		if !m.set(r.Key, r.Value) {
			t.Fatalf("set of %q, which is not there", r.Key)
		}
	}
	for _, r := range c.Add {
		if _, there := m.look(r.Key); there {
			t.Fatalf("add of %q, which is there", r.Key)
		}
		m.add(r)
	}
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name string
		want Table
		have []Row
		diff Changes
	}{
		{"nothing", nil, nil, Changes{}},
		{"right", Table{"a": "1"}, []Row{{"a", "1"}}, Changes{}},
		{"missing", Table{"b": "2", "a": "1"}, nil, Changes{Add: []Row{{"a", "1"}, {"b", "2"}}}},
		{"foreign", nil, []Row{{"b", "2"}, {"a", "1"}}, Changes{Remove: []string{"b", "a"}}},
		{"another value", Table{"a": "1"}, []Row{{"a", "2"}}, Changes{Set: []Row{{"a", "1"}}}},
		{"foreign and twice", nil, []Row{{"a", "1"}, {"a", "2"}}, Changes{Remove: []string{"a"}}},
		{"right and twice", Table{"a": "1"}, []Row{{"a", "1"}, {"a", "1"}}, Changes{Remove: []string{"a"}, Add: []Row{{"a", "1"}}}},
		{"right and shadowed", Table{"a": "1"}, []Row{{"a", "2"}, {"b", "1"}, {"a", "1"}, {"a", "3"}},
			Changes{Remove: []string{"a", "b"}, Add: []Row{{"a", "1"}}}},
		{"all at once", Table{"a": "1", "b": "2", "c": "3"}, []Row{{"x", "9"}, {"b", "9"}, {"c", "3"}},
			Changes{Remove: []string{"x"}, Set: []Row{{"b", "2"}}, Add: []Row{{"a", "1"}}}},
		{"a foreign row that cannot be named", Table{"a": "1"}, []Row{{"x;y", "1"}, {"a", "1"}, {"x;y", "2"}},
			Changes{Stuck: []string{"x;y"}}},
		{"an empty value", Table{"a": "1"}, []Row{{"a", ""}}, Changes{Set: []Row{{"a", "1"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(test.want, test.have)
			if diff := cmp.Diff(test.diff, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			calls := len(test.diff.Remove) + len(test.diff.Set) + len(test.diff.Add)
			if got.Len() != calls || got.Empty() != (calls == 0) {
				t.Errorf("%d calls, empty %v; want %d", got.Len(), got.Empty(), calls)
			}
		})
	}
}

// I8, and I4 for rows that stand there twice: whatever a map holds, the changes make it hold what is wanted and nothing
// else, and then there are none.
func TestI8ChangesLeadToWhatIsWanted(t *testing.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	value := rapid.SampledFrom([]string{"1", "2", "3"})
	rapid.Check(t, func(rt *rapid.T) {
		want := Table(rapid.MapOfN(key, value, 0, 4).Draw(rt, "want"))
		var have running
		for range rapid.IntRange(0, 8).Draw(rt, "rows") {
			have = append(have, Row{key.Draw(rt, "key"), value.Draw(rt, "value")})
		}
		before := slices.Clone(have)
		changes := Diff(want, have)
		if !slices.Equal(before, have) {
			rt.Fatalf("Diff changed its argument")
		}
		have.apply(rt, changes)
		if len(have) != len(want) {
			rt.Fatalf("%v holds %v, want %v", changes, have, want)
		}
		for k, v := range want {
			if got, there := have.look(k); !there || got != v {
				rt.Fatalf("%v holds %v, want %v", changes, have, want)
			}
		}
		if again := Diff(want, have); !again.Empty() || len(again.Stuck) > 0 {
			rt.Fatalf("a second time: %+v", again)
		}
	})
}

// What closes comes before what opens: after the removals alone nothing is left that is not wanted, and no row that is
// wanted and stood there once was touched.
func TestRemovalsAloneCloseEverythingForeign(t *testing.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	value := rapid.SampledFrom([]string{"1", "2"})
	rapid.Check(t, func(rt *rapid.T) {
		want := Table(rapid.MapOfN(key, value, 0, 3).Draw(rt, "want"))
		var have running
		for range rapid.IntRange(0, 6).Draw(rt, "rows") {
			have = append(have, Row{key.Draw(rt, "key"), value.Draw(rt, "value")})
		}
		once := map[string]int{}
		for _, r := range have {
			once[r.Key]++
		}
		before := slices.Clone(have)
		have.apply(rt, Changes{Remove: Diff(want, have).Remove})
		for _, r := range have {
			if _, wanted := want[r.Key]; !wanted {
				rt.Fatalf("%v is left, wanted %v", r, want)
			}
		}
		for _, r := range before {
			if _, wanted := want[r.Key]; wanted && once[r.Key] == 1 && !slices.Contains(have, r) {
				rt.Fatalf("%v was removed for nothing", r)
			}
		}
	})
}
