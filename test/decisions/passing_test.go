package decisions

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// moveGroups changes somebody's groups. The gateway learns of it at their next login.
func (r *run) moveGroups() {
	who := pick(r.T, "whose groups", people...)
	r.org.groups[who] = drawGroups(r.T, who)
	if chance(r.T, "signs in now", 60) {
		l := login{groups: r.org.groups[who], at: r.model.Now}
		r.org.logins[who] = append(r.org.logins[who], l)
		r.do(who, "", l, issue("id9999"))
	}
}

func (r *run) movePool() {
	p := pick(r.T, "pool", places...)
	_, exists := r.model.Tags[p]
	r.pool(p, subset(r.T, "tags", []string{"pci", "pii"}), !exists || chance(r.T, "stays", 50))
}

func (r *run) policy() {
	r.enforce(changed(r.T, r.model.Rules))
	r.Logf("policy:\n%s", r.document)
	r.compare()
}

func (r *run) sweep() {
	r.Logf("%s: sweep", r.model.Now.Format("Mon 15:04:05.000"))
	r.judged("sweep", r.service().Sweep(r.ctx), r.model.Sweep())
	r.compare()
}

func (r *run) judge() {
	r.Logf("%s: judge", r.model.Now.Format("Mon 15:04:05.000"))
	r.judged("judge", r.service().Judge(r.ctx), r.model.Judge())
	r.compare()
}

// judged: a pass says so if there was something that it could not judge, and fails for nothing else.
func (r *run) judged(what string, err error, unjudged bool) {
	r.Helper()
	if unjudged != (err != nil) || err != nil && !strings.Contains(err.Error(), "not in the configuration") {
		r.Fatalf("%s: %v; whether something could not be judged, the model says %v", what, err, unjudged)
	}
}

// time passes: some, or just until something is due, or until right before.
func (r *run) time() {
	if chance(r.T, "until it is due", 50) {
		var due []time.Time
		for _, id := range slices.Sorted(maps.Keys(r.model.Grants)) {
			if g := r.model.Grants[id]; open(g) {
				due = append(due, g.Expires, g.Lapses, g.Starts)
				if g.Extension != nil {
					due = append(due, g.Extension.Lapses)
				}
			}
		}
		for _, l := range r.model.Locks {
			due = append(due, l.Until)
		}
		due = slices.DeleteFunc(due, func(at time.Time) bool {
			return at.Sub(r.model.Now) <= 2*time.Millisecond || at.Sub(r.model.Now) > 13*time.Hour
		})
		if len(due) > 0 {
			at := pick(r.T, "due", due...)
			r.pass(at.Sub(r.model.Now) - pick(r.T, "before", 0, time.Millisecond, 0, 1))
			return
		}
	}
	r.pass(pick(r.T, "passes", time.Second, time.Minute, 3*time.Minute, 11*time.Minute, 40*time.Minute, 3*time.Hour, 777*time.Millisecond+5))
}
