package policy_test

import (
	"testing"
	"time"
)

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	m, err := time.Parse("2006-01-02 15:04:05 -0700", s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// In 2026 Berlin goes from +0100 to +0200 on Sunday, 29 March at 02:00, and back on Sunday, 25 October at 03:00.
var times = []struct {
	name  string
	hours string
	at    string
	want  bool
}{
	{"the first minute", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-02 09:00:00 +0100", true},
	{"the second before", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-02 08:59:59 +0100", false},
	{"the last second", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-02 17:59:59 +0100", true},
	{"the end", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-02 18:00:00 +0100", false},
	{"another day", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-03 12:00:00 +0100", false},
	{"one of the days", `{days: [mon, tue], from: "09:00", to: "18:00"}`, "2026-03-03 12:00:00 +0100", true},
	{"any day", `{from: "09:00", to: "18:00"}`, "2026-03-01 12:00:00 +0100", true},
	{"the same moment elsewhere", `{days: [mon], from: "09:00", to: "18:00"}`, "2026-03-02 04:00:00 -0400", true},
	{"a day that has begun there", `{days: [tue], from: "00:00", to: "01:00"}`, "2026-03-02 23:30:00 +0000", true},
	{"a day that has ended there", `{days: [mon], from: "00:00", to: "24:00"}`, "2026-03-02 23:30:00 +0000", false},
	{"a zone of its own", `{from: "09:00", to: "18:00", time_zone: America/New_York}`, "2026-03-02 13:59:00 +0000", false},
	{"a zone of its own, later", `{from: "09:00", to: "18:00", time_zone: America/New_York}`, "2026-03-02 14:00:00 +0000", true},

	{"the whole day", `{days: [mon], from: "00:00", to: "24:00"}`, "2026-03-02 00:00:00 +0100", true},
	{"the whole day, to its last second", `{days: [mon], from: "00:00", to: "24:00"}`, "2026-03-02 23:59:59 +0100", true},
	{"the whole day and no more", `{days: [mon], from: "00:00", to: "24:00"}`, "2026-03-03 00:00:00 +0100", false},

	{"over midnight, before", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-06 21:59:59 +0100", false},
	{"over midnight, first", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-06 22:00:00 +0100", true},
	{"over midnight, the day after", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-07 05:59:59 +0100", true},
	{"over midnight, at the end", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-07 06:00:00 +0100", false},
	{"over midnight, the same night's morning", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-06 05:00:00 +0100", false},
	{"over midnight, the next evening", `{days: [fri], from: "22:00", to: "06:00"}`, "2026-03-07 23:00:00 +0100", false},
	{"over midnight from Saturday to Sunday", `{days: [sat], from: "22:00", to: "06:00"}`, "2026-03-08 01:00:00 +0100", true},
	{"over midnight from Sunday to Monday", `{days: [sun], from: "22:00", to: "06:00"}`, "2026-03-09 01:00:00 +0100", true},
	{"not from Saturday to Monday", `{days: [sat], from: "22:00", to: "06:00"}`, "2026-03-09 01:00:00 +0100", false},
	{"to midnight", `{days: [fri], from: "22:00", to: "00:00"}`, "2026-03-07 00:00:00 +0100", false},
	{"just to midnight", `{days: [fri], from: "22:00", to: "00:00"}`, "2026-03-06 23:59:59 +0100", true},

	{"by the clock on the wall, in winter", `{from: "09:00", to: "10:00"}`, "2026-03-28 08:30:00 +0000", true},
	{"by the clock on the wall, in summer", `{from: "09:00", to: "10:00"}`, "2026-03-29 07:30:00 +0000", true},
	{"not by the clock of the winter", `{from: "09:00", to: "10:00"}`, "2026-03-29 08:30:00 +0000", false},
	{"the hour that does not exist", `{from: "02:00", to: "03:00"}`, "2026-03-29 01:30:00 +0000", false},
	{"the hour that comes twice, first", `{from: "02:00", to: "03:00"}`, "2026-10-25 00:30:00 +0000", true},
	{"the hour that comes twice, again", `{from: "02:00", to: "03:00"}`, "2026-10-25 01:30:00 +0000", true},

	{"one of two", `{days: [mon], from: "09:00", to: "10:00"}, {days: [tue], from: "11:00", to: "12:00"}`, "2026-03-03 11:30:00 +0100", true},
	{"none of two", `{days: [mon], from: "09:00", to: "10:00"}, {days: [tue], from: "11:00", to: "12:00"}`, "2026-03-03 09:30:00 +0100", false},
}

func TestHours(t *testing.T) {
	for _, c := range times {
		t.Run(c.name, func(t *testing.T) {
			p := compile(t, "version: 1\nname: t\ntime_zone: Europe/Berlin\nrules:\n"+limiting("r", "  hours: ["+c.hours+"]"))
			if d := p.Evaluate(t.Context(), ask(at(moment(t, c.at)))); d.Allowed != c.want {
				t.Errorf("%v: %s", d.Allowed, d.Explanation)
			}
			later := ask(at(moment(t, c.at).Add(-100 * time.Hour)))
			later.StartsAt = moment(t, c.at)
			if d := p.Evaluate(t.Context(), later); d.Allowed != c.want {
				t.Errorf("a window: %v: %s", d.Allowed, d.Explanation)
			}
		})
	}
}

func TestHoursAreOfUTCUnlessTheDocumentSaysOtherwise(t *testing.T) {
	p := compile(t, head+limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`))
	if d := p.Evaluate(t.Context(), ask()); !d.Allowed {
		t.Error(d.Explanation)
	}
}

func TestHoursAreSaidInWords(t *testing.T) {
	for hours, want := range map[string]string{
		`{days: [mon, tue, wed, thu, fri], from: "09:00", to: "09:01", time_zone: Europe/Berlin}`: "Monday to Friday, 09:00 to 09:01 (Europe/Berlin)",
		`{from: "00:05", to: "01:00"}`:                                            "every day, 00:05 to 01:00 (UTC)",
		`{days: [sun], from: "22:00", to: "24:00"}`:                               "Sunday, 22:00 to 24:00 (UTC)",
		`{days: [sun, sat], from: "22:00", to: "06:30"}`:                          "Saturday and Sunday, 22:00 to 06:30 (UTC)",
		`{days: [mon, wed, fri], from: "22:00", to: "06:00"}`:                     "Monday, Wednesday and Friday, 22:00 to 06:00 (UTC)",
		`{days: [mon, tue, thu, fri, sat, sun], from: "22:00", to: "06:00"}`:      "Monday, Tuesday and Thursday to Sunday, 22:00 to 06:00 (UTC)",
		`{days: [mon], from: "01:00", to: "02:00"}, {from: "03:00", to: "04:00"}`: "Monday, 01:00 to 02:00 (UTC); or every day, 03:00 to 04:00 (UTC)",
	} {
		p := compile(t, head+limiting("r", "  hours: ["+hours+"]"))
		d := p.Evaluate(t.Context(), ask())
		if want := "You must begin within these hours: " + want + "."; d.Explanation != want {
			t.Errorf("%s\nwant %s", d.Explanation, want)
		}
	}
}

func TestDurationsAreSaidInWords(t *testing.T) {
	for limit, want := range map[string]string{
		"1s": "1 second", "59s": "59 seconds", "60s": "1 minute", "61s": "1 minute 1 second", "2m": "2 minutes",
		"1h": "1 hour", "90m": "1 hour 30 minutes", "7322s": "2 hours 2 minutes 2 seconds", "24h": "24 hours", "25h": "25 hours",
		"48h": "2 days", "49h": "49 hours", "168h": "7 days", "720h": "30 days",
	} {
		p := compile(t, head+"  - {name: r, match: {pools: ['*/*']}, who: {groups: [dev]}, limits: {max_duration: "+limit+"}}\n")
		d := p.Evaluate(t.Context(), ask(lasting(999*time.Hour)))
		if want := "You must ask for at most " + want + "."; d.Explanation != want {
			t.Errorf("%s\nwant %s", d.Explanation, want)
		}
	}
}
