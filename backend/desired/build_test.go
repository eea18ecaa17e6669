package desired

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// noon is when the tests' passes read: 1904299200 seconds after 1970.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

func TestNoonIsTheNumberInTheTables(t *testing.T) {
	if noon.Unix() != 1904299200 {
		t.Fatal(noon.Unix())
	}
}

func fixed() State {
	return State{
		Hosts: {"web.example.com": "prod/web"},
		Pools: {"prod/web": "be_web", "prod/db": "be_db", "staging/web": "be_staging_web"},
		KIDs:  {"access|k1": "/keys/k1.pem"},
	}
}

func active(id string, subject grant.Subject, pool grant.Pool, expires time.Time) grant.Grant {
	return grant.Grant{ID: id, Subject: subject, Pool: pool, State: grant.Active, ExpiresAt: expires}
}

// A row is there for a live grant of a pool that the node serves, and for nothing else.
func TestBuildHasTheLiveGrantsOfServedPools(t *testing.T) {
	web, db := grant.Pool{Environment: "prod", Name: "web"}, grant.Pool{Environment: "prod", Name: "db"}
	staging := grant.Pool{Environment: "staging", Name: "web"}
	in := func(s grant.State) grant.Grant {
		g := active("g-"+string(s), grant.Subject(string(s)+"@example.com"), web, noon.Add(time.Hour))
		g.State = s
		return g
	}
	grants := []grant.Grant{
		active("g1", "alice@example.com", web, noon.Add(15*time.Minute)),
		active("g2", "alice@example.com", db, noon.Add(time.Second)),
		active("g3", "alice@example.com", staging, noon.Add(time.Minute)), // the same pool's name elsewhere
		active("g4", "service:deploy-bot", web, noon.Add(time.Millisecond)),
		active("g5", "bob@example.com", web, noon), // its last moment is over
		active("g6", "carol@example.com", web, noon.Add(-time.Second)),
		active("g7", "dave@example.com", web, time.Time{}),
		active("g8", "erin@example.com", grant.Pool{Environment: "qa", Name: "web"}, noon.Add(time.Hour)),
		active("g9", "erin@example.com", grant.Pool{Environment: "prod", Name: "other"}, noon.Add(time.Hour)),
		in(grant.Pending), in(grant.Approved), in(grant.Denied), in(grant.Cancelled), in(grant.Lapsed), in(grant.Expired),
		in(grant.Revoked), in(""),
	}
	want := fixed()
	want[Grants] = Table{
		"alice@example.com|prod/web":    "1904300100:g1",
		"alice@example.com|prod/db":     "1904299201:g2",
		"alice@example.com|staging/web": "1904299260:g3",
		"service:deploy-bot|prod/web":   "1904299200:g4",
	}
	given := fixed()
	got := build(given, grants, noon)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(fixed(), given); diff != "" {
		t.Errorf("what was given has changed:\n%s", diff)
	}
}

func TestBuildOfNothingIsEmptyTables(t *testing.T) {
	got := build(State{}, []grant.Grant{active("g1", "alice@example.com", grant.Pool{Environment: "prod", Name: "web"}, noon.Add(time.Hour))}, noon)
	if len(got[Grants]) != 0 || got[Grants] == nil || len(got[Hosts]) != 0 || len(got[Pools]) != 0 || len(got[KIDs]) != 0 {
		t.Fatalf("%+v", got)
	}
	if _, there := got[Leases]; there {
		t.Fatal("leases are given for a pass that succeeded, not built")
	}
}

func TestLease(t *testing.T) {
	tests := []struct {
		name   string
		have   string
		read   time.Duration // after noon
		length time.Duration
		want   string
	}{
		{"the first", "", 0, 30 * time.Second, "1904299230"},
		{"parts of a second count for nothing", "", 999 * time.Millisecond, 30 * time.Second, "1904299230"},
		{"just given", "1904299230", 0, 30 * time.Second, "1904299230"},
		{"one third is not over", "1904299230", 10*time.Second - time.Nanosecond, 30 * time.Second, "1904299230"},
		{"one third is over", "1904299230", 10 * time.Second, 30 * time.Second, "1904299240"},
		{"two thirds are over", "1904299230", 20 * time.Second, 30 * time.Second, "1904299250"},
		{"it has run out", "1904299230", 30 * time.Second, 30 * time.Second, "1904299260"},
		{"it ran out long ago", "1904299230", time.Hour, 30 * time.Second, "1904302830"},
		{"ten seconds, a third over", "1904299210", 4 * time.Second, 10 * time.Second, "1904299214"},
		{"ten seconds, not yet", "1904299210", 3 * time.Second, 10 * time.Second, "1904299210"},
		{"three seconds", "1904299203", time.Second, 3 * time.Second, "1904299204"},
		{"one second", "1904299201", 0, time.Second, "1904299201"},
		{"one second, over", "1904299201", time.Second, time.Second, "1904299202"},
		// Not ours: a lease lives no longer than from this pass on, whoever wrote another.
		{"a second too far", "1904299231", 0, 30 * time.Second, "1904299230"},
		{"a year too far", "1935835200", 0, 30 * time.Second, "1904299230"},
		{"the lease was off before", "9999999999", 0, 30 * time.Second, "1904299230"},
		{"the lease was longer before", "1904302800", 0, 30 * time.Second, "1904299230"},
		{"our clock went back", "1904299230", -time.Minute, 30 * time.Second, "1904299170"},
		{"as long as we would give", "1904299230", 0, 30 * time.Second, "1904299230"},
		{"garbage", "soon", 0, 30 * time.Second, "1904299230"},
		{"with a sign", "+190429923", 0, 30 * time.Second, "1904299230"},
		{"negative", "-904299230", 0, 30 * time.Second, "1904299230"},
		{"with a space", " 904299230", 0, 30 * time.Second, "1904299230"},
		{"eleven digits", "01904299230", 0, 30 * time.Second, "1904299230"},
		{"nine digits", "904299230", 0, 30 * time.Second, "1904299230"},
		{"more than a number holds", "99999999999999999999", 0, 30 * time.Second, "1904299230"},
		{"something behind it", "1904299230:g1", 0, 30 * time.Second, "1904299230"},
		{"hexadecimal", "0x71813e10", 0, 30 * time.Second, "1904299230"},
		{"underscores", "1904_29923", 0, 30 * time.Second, "1904299230"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Lease(test.have, noon.Add(test.read), test.length); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A pass that finds the lease as it gave it writes nothing, until a third of it is over; never does a value reach
// further than the time of the read plus the length.
func TestLeaseIsRenewedEveryThird(t *testing.T) {
	have, renewals := "", 0
	for s := range 300 {
		read := noon.Add(time.Duration(s)*time.Second + 700*time.Millisecond)
		next := Lease(have, read, 30*time.Second)
		if next != have {
			renewals++
		}
		have = next
		until := LeaseTime(have)
		if until.After(read.Add(30*time.Second)) || until.Before(read.Add(19*time.Second)) {
			t.Fatalf("at %v it lasts until %v", read, until)
		}
	}
	if renewals != 30 {
		t.Errorf("%d renewals in 300 s, want 30", renewals)
	}
}

func TestLeaseTime(t *testing.T) {
	tests := map[string]time.Time{
		"1904299200": noon, LeaseOff: time.Date(2286, 11, 20, 17, 46, 39, 0, time.UTC),
		"": {}, "soon": {}, "0": {}, "-1": {}, "0000000000": {}, "99999999999999999999": {}, "1904299200 ": {},
	}
	for value, want := range tests {
		if got := LeaseTime(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// Values are compared as numbers by HAProxy and as text here: always ten digits.
func TestRowValueHasTenDigits(t *testing.T) {
	g := active("g1", "alice@example.com", grant.Pool{Environment: "prod", Name: "web"}, time.Unix(7, 0))
	if got := RowValue(g); got != "0000000007:g1" {
		t.Errorf("%q", got)
	}
	if got := RowKey(g.Subject, g.Pool); got != "alice@example.com|prod/web" {
		t.Errorf("%q", got)
	}
}

// build is Build as tables.
func build(fixed State, grants []grant.Grant, now time.Time) State {
	s := State{}
	for m, sheet := range Build(fixed, NewBook(grants), now) {
		s[m] = sheet.Table
	}
	return s
}
