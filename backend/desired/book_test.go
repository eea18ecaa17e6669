package desired

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A sheet is shared while it is right, and not a moment longer: neither past the first expiry, nor for other pools, nor
// for a clock that went back.
func TestASheetIsSharedOnlyWhileItIsRight(t *testing.T) {
	web := grant.Pool{Environment: "prod", Name: "web"}
	book := NewBook([]grant.Grant{
		active("g1", "alice@example.com", web, noon.Add(10*time.Second)),
		active("g2", "bob@example.com", web, noon.Add(time.Minute)),
	})
	pools := Table{"prod/web": "be_web"}
	at := func(after time.Duration, pools Table) *Sheet { return book.sheet(pools, noon.Add(after)) }
	first := at(0, pools)
	if at(9999*time.Millisecond, Table{"prod/web": "another backend"}) != first {
		t.Error("not shared before the first expiry")
	}
	if want := noon.Add(10 * time.Second); !first.Next.Equal(want) {
		t.Errorf("the first expiry is %s, want %s", first.Next, want)
	}
	for name, c := range map[string]struct {
		after time.Duration
		pools Table
		text  string
	}{
		"at the first expiry":    {10 * time.Second, pools, "bob@example.com|prod/web 1904299260:g2\n"},
		"when all has expired":   {time.Minute, pools, ""},
		"for other pools":        {0, Table{"prod/db": "be_db"}, ""},
		"when the clock is back": {-time.Second, pools, "alice@example.com|prod/web 1904299210:g1\nbob@example.com|prod/web 1904299260:g2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.text, string(at(c.after, c.pools).Text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSinceLeadsFromOneSheetToAnother(t *testing.T) {
	older := NewSheet(Table{"a": "1", "b": "1", "c": "1"})
	newer := NewSheet(Table{"b": "2", "c": "1", "d": "1"})
	want := Changes{Remove: []string{"a"}, Set: []Row{{"b", "2"}}, Add: []Row{{"d", "1"}}}
	for range 2 {
		if diff := cmp.Diff(want, newer.Since(older)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	back := Changes{Remove: []string{"d"}, Set: []Row{{"b", "1"}}, Add: []Row{{"a", "1"}}}
	if diff := cmp.Diff(back, older.Since(newer)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !newer.Since(newer).Empty() {
		t.Error("a sheet differs from itself")
	}
}

// What is worked out cheaply of sheets is what Diff says.
func TestASheetDiffersAsItsTableDoes(t *testing.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d", "x;y"})
	value := rapid.SampledFrom([]string{"1", "2"})
	rapid.Check(t, func(rt *rapid.T) {
		want := Table(rapid.MapOfN(key, value, 0, 4).Draw(rt, "want"))
		older := NewSheet(rapid.MapOfN(key, value, 0, 4).Draw(rt, "older"))
		var have []Row
		for range rapid.IntRange(0, 6).Draw(rt, "rows") {
			have = append(have, Row{key.Draw(rt, "key"), value.Draw(rt, "value")})
		}
		sheet := NewSheet(want)
		if diff := cmp.Diff(Diff(want, older.Rows()), sheet.Since(older)); diff != "" {
			rt.Fatalf("since: (-want +got):\n%s", diff)
		}
		for _, rows := range [][]Row{have, want.Rows(), append(want.Rows(), have...)} {
			if diff := cmp.Diff(Diff(want, rows), sheet.Diff(rows)); diff != "" {
				rt.Fatalf("of %v: (-want +got):\n%s", rows, diff)
			}
		}
	})
}

// A sheet keeps the one before it alive at most, however long the gateway runs.
func TestSheetsDoNotKeepAllBeforeThem(t *testing.T) {
	last := NewSheet(Table{})
	for i := range 5 {
		next := NewSheet(Table{fmt.Sprint(i): "1"})
		next.Since(last)
		if last.older != nil {
			t.Fatal("the sheet before keeps another")
		}
		last = next
	}
}

// A book that was renewed is the one that is made of the same grants anew, whatever it was before.
func TestARenewedBookIsThatOfItsGrants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.SampledFrom([]string{"g1", "g2", "g3", "g4"})
		draw := func() (grants []grant.Grant) {
			for _, id := range rapid.SliceOfNDistinct(id, 0, 4, rapid.ID[string]).Draw(rt, "ids") {
				subject := rapid.SampledFrom([]grant.Subject{"alice@example.com", "bob@example.com", "no good"}).Draw(rt, "subject")
				pool := grant.Pool{Environment: "prod", Name: rapid.SampledFrom([]string{"web", "db"}).Draw(rt, "pool")}
				g := active(id, subject, pool, noon.Add(time.Duration(rapid.IntRange(-1, 2).Draw(rt, "expires"))*time.Second))
				g.GivenAt = noon.Add(time.Duration(rapid.IntRange(-1, 1).Draw(rt, "given")) * time.Second)
				if rapid.IntRange(0, 4).Draw(rt, "state") == 0 {
					g.State = grant.Revoked
				}
				grants = append(grants, g)
			}
			return grants
		}
		book := NewBook(nil)
		for range rapid.IntRange(1, 4).Draw(rt, "changes") {
			grants := draw()
			older, before := book, book.sheet(Table{"prod/web": "be"}, noon)
			book = book.Renew(grants)
			if book.Renew(slices.Clone(grants)) != book {
				rt.Fatal("another book of the same grants")
			}
			anew := NewBook(grants)
			for _, pools := range []Table{{"prod/web": "be"}, {"prod/web": "be", "prod/db": "be"}} {
				got, want := book.sheet(pools, noon), anew.sheet(pools, noon)
				if string(got.Text) != string(want.Text) || !got.Next.Equal(want.Next) || (got.Check() == nil) != (want.Check() == nil) {
					rt.Fatalf("%q and %v, want %q and %v", got.Text, got.Check(), want.Text, want.Check())
				}
				if (got.Check() == nil) != (check(got.Table.Rows()...) == nil) || string(got.Text) != string(got.Table.Text()) {
					rt.Fatalf("%q is not what is in it: %v", got.Text, got.Check())
				}
			}
			if !slices.Equal(book.Given(noon), anew.Given(noon)) {
				rt.Fatalf("given: %v, want %v", book.Given(noon), anew.Given(noon))
			}
			if older.sheet(Table{"prod/web": "be"}, noon) != before {
				rt.Fatal("the book of before has changed")
			}
		}
	})
}

// BenchmarkChangeOf10000 is what one change costs for all nodes that serve the same pools, BenchmarkSheetOf10000 what the
// first reading does.
func BenchmarkChangeOf10000(b *testing.B) {
	grants := manyGrants()
	book := NewBook(grants)
	for b.Loop() {
		grants[5000].ExpiresAt = grants[5000].ExpiresAt.Add(time.Second)
		book = book.Renew(grants)
		book.sheet(Table{"prod/web": "be"}, noon.Add(-time.Hour))
	}
}

func BenchmarkSheetOf10000(b *testing.B) {
	grants := manyGrants()
	for b.Loop() {
		NewBook(grants).sheet(Table{"prod/web": "be"}, noon.Add(-time.Hour))
	}
}

func manyGrants() []grant.Grant {
	grants := make([]grant.Grant, 10000)
	for i := range grants {
		subject := grant.Subject(fmt.Sprintf("person%d@example.com", i))
		grants[i] = active(fmt.Sprintf("0190a1b2-0000-7000-8000-%012d", i), subject, grant.Pool{Environment: "prod", Name: "web"}, noon)
	}
	return grants
}
