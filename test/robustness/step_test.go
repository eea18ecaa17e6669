package robustness

import (
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// step does something that a fleet meets, and lets some time pass.
func (s *sim) step() {
	n := s.pick()
	switch s.draw(22) {
	case 0, 1, 2:
		s.give()
	case 3, 4, 5:
		s.revoke(1)
	case 6:
		s.revoke(1 + s.draw(10))
	case 7:
		s.extend()
	case 8, 9:
		s.storm()
	case 10:
		s.clear()
	case 11, 12:
		s.reloads()
	case 13:
		s.restart(n)
	case 14:
		s.edit()
	case 15:
		s.clocks(n)
	case 16, 17:
		s.gatewayTrouble()
	case 18:
		s.storeTrouble()
	case 19:
		s.topology()
	case 20:
		s.scenario()
	}
	for range focus {
		s.pick().browse(s.draw)
	}
	s.judge.check()
	s.wait(time.Duration(20+s.draw(1500))*time.Millisecond, 750*time.Millisecond)
}

// storm lets something go wrong on some nodes.
func (s *sim) storm() {
	for range 1 + s.draw(1+len(s.nodes)/10) {
		n := s.pick()
		w := weather{}
		switch s.draw(7) {
		case 0:
			w.down = true
		case 1:
			w.slow = true
		case 2, 3:
			w.faulty = true
		case 4:
			w.adds = true
		case 5:
			w.master = true
		case 6:
			w.faulty, w.master, w.runtime = true, true, true
		}
		n.mu.Lock()
		n.weather = w
		n.mu.Unlock()
	}
}

func (s *sim) clear() {
	for _, n := range s.nodes {
		n.mu.Lock()
		n.weather = weather{}
		n.mu.Unlock()
	}
}

func (s *sim) reloads() {
	for range 1 + s.draw(8) {
		n := s.pick()
		n.reload(time.Duration(s.draw(1200)) * time.Millisecond)
		if s.draw(3) == 0 {
			n.save()
		}
	}
}

// restart kills HAProxy and starts it again, perhaps with files of some time ago.
func (s *sim) restart(n *node) {
	stale := s.draw(2) == 0
	n.kill()
	s.later(time.Duration(s.draw(4000))*time.Millisecond, func() { n.start(stale) })
}

// edit is a foreign hand on some node; it may bring back the row of a grant that has ended.
func (s *sim) edit() {
	ended := ""
	if e := s.recentlyEnded(time.Now()); len(e) > 0 && s.draw(2) == 0 {
		last := e[s.draw(len(e))]
		ended = fmt.Sprintf("%d:%s", last.grant.ExpiresAt.Add(time.Hour).Unix(), last.grant.ID)
	}
	s.pick().edit(s.draw(6), allMaps[s.draw(len(allMaps))], ended)
}

// clocks sets a node's clock off, mostly within the bound.
func (s *sim) clocks(n *node) {
	offset := time.Duration(s.draw(4000)-2000) * time.Millisecond
	if s.draw(3) == 0 {
		offset = time.Duration(s.draw(7200)-3600) * time.Second
	}
	n.setClock(offset)
}

// gatewayTrouble kills a gateway, stops one for a while, or starts one in the place of a dead one.
func (s *sim) gatewayTrouble() {
	g := s.gateways[s.draw(len(s.gateways))]
	switch {
	case !g.fine():
		return
	case !s.several || s.draw(2) == 0:
		s.kill(g)
	default:
		s.stop(g, time.Duration(1+s.draw(25))*time.Second)
	}
}

func (s *sim) kill(g *gateway) {
	s.judge.gateways = time.Now()
	g.kill()
	s.locks.end(g)
	s.gateways = slices.DeleteFunc(s.gateways, func(o *gateway) bool { return o == g })
	s.startGateway()
}

// stop is SIGSTOP, and later SIGCONT. The session of who is silent is over: by the database, or by its own hand.
func (s *sim) stop(g *gateway, d time.Duration) {
	g.pause()
	s.locks.stop(g, time.Now())
	if d > silence {
		s.later(silence, func() { s.locks.end(g) })
	}
	s.later(d, func() {
		if d > quiet {
			s.locks.end(g)
		}
		s.locks.stop(g, time.Time{})
		g.goOn()
	})
}

func (s *sim) storeTrouble() {
	s.ledger.mu.Lock()
	s.ledger.away = true
	s.ledger.mu.Unlock()
	s.locks.end(nil)
	s.later(time.Duration(s.draw(8000))*time.Millisecond, s.storeBack)
}

func (s *sim) storeBack() {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.away = false
}

// topology adds a node, takes one out, or changes a lease. A gateway that is stopped hears of it later.
func (s *sim) topology() {
	if slices.ContainsFunc(s.gateways, func(g *gateway) bool { return !g.fine() }) {
		return
	}
	switch s.draw(3) {
	case 0:
		s.addNode(1000 + len(s.gone) + len(s.nodes))
	case 1:
		if len(s.nodes) < 8 {
			return
		}
		s.mu.Lock()
		i := 3 + s.draw(len(s.nodes)-3)
		n := s.nodes[i]
		s.nodes = slices.Delete(slices.Clone(s.nodes), i, i+1)
		s.gone = append(s.gone, n)
		s.mu.Unlock()
		n.mu.Lock()
		n.left = time.Now()
		n.mu.Unlock()
	case 2:
		s.mu.Lock()
		s.leases["prod"] = 40*time.Second - s.leases["prod"] // 10 s or 30 s
		s.longest["prod"] = 30 * time.Second
		s.mu.Unlock()
	}
	s.judge.gateways = time.Now()
	s.retarget()
}

// scenario is one of those that chance would not come upon often.
func (s *sim) scenario() {
	switch s.draw(7) {
	case 0: // a grant is given while nodes are slow, the writer dies, and the grant is revoked
		s.slow()
		s.give()
		s.wait(time.Duration(s.draw(700))*time.Millisecond, 750*time.Millisecond)
		g := s.gateways[0]
		if s.several && g.fine() {
			s.kill(g)
		}
		s.revoke(3)
	case 1: // the same, and the writer is stopped and continued
		s.slow()
		s.give()
		s.wait(time.Duration(s.draw(700))*time.Millisecond, 750*time.Millisecond)
		if g := s.gateways[s.draw(len(s.gateways))]; s.several && g.fine() {
			s.stop(g, time.Duration(12+s.draw(10))*time.Second)
		}
		s.revoke(3)
		s.wait(14*time.Second, 750*time.Millisecond)
	case 2: // a revocation in the middle of slow passes, and the nodes are cut off
		cut := s.slow()
		s.wait(time.Duration(s.draw(4000))*time.Millisecond, 750*time.Millisecond)
		s.revoke(2)
		s.wait(time.Duration(s.draw(6000))*time.Millisecond, 750*time.Millisecond)
		for _, n := range cut {
			n.mu.Lock()
			n.weather = weather{down: true}
			n.mu.Unlock()
		}
	case 3: // many reload while grants end
		for _, n := range s.nodes[:len(s.nodes)/2] {
			n.reload(time.Duration(s.draw(1000)) * time.Millisecond)
		}
		s.revoke(4)
	case 4: // rows cannot be added anywhere, which is no excuse for those that must go
		s.clear()
		s.storeBack()
		s.wait(settle+2*time.Second, 750*time.Millisecond)
		for _, n := range s.nodes {
			n.mu.Lock()
			n.weather = weather{adds: true}
			n.mu.Unlock()
		}
		for range 5 {
			s.give()
		}
		s.wait(1500*time.Millisecond, 750*time.Millisecond)
		s.revoke(5)
		s.wait(3*time.Second, 500*time.Millisecond)
		s.clear()
	default: // every call may meet a fault while grants come and go
		for _, n := range s.nodes {
			n.mu.Lock()
			n.weather = weather{faulty: true}
			n.mu.Unlock()
		}
		for range 8 {
			s.give()
			s.give()
			s.wait(time.Duration(s.draw(1500))*time.Millisecond, 400*time.Millisecond)
			s.revoke(2)
			s.wait(time.Duration(s.draw(1500))*time.Millisecond, 400*time.Millisecond)
		}
	}
}

// slow makes some nodes answer late.
func (s *sim) slow() []*node {
	count := len(s.nodes) / 3
	nodes := s.nodes[s.draw(len(s.nodes)-count):][:count]
	for _, n := range nodes {
		n.mu.Lock()
		n.weather = weather{slow: true}
		n.mu.Unlock()
	}
	return nodes
}

// finish ends all trouble: every node converges, a second pass writes nothing but the lease, and everything is on record
// (I8).
func (s *sim) finish() {
	s.clear()
	s.storeBack()
	for _, n := range s.nodes {
		n.setClock(0)
		n.mu.Lock()
		dead := n.dead
		n.mu.Unlock()
		if dead {
			n.start(false)
		}
	}
	s.wait(s.calm, 4*time.Second)
	if s.broken() != "" {
		return
	}
	s.wait(2*time.Second, time.Second)
	for range 60 { // a row that goes because its time is over is none of a second pass
		if !s.expiring() {
			break
		}
		s.wait(time.Second, time.Second/2)
	}
	s.converged()
	if s.broken() == "" {
		s.recorded()
	}
}

// expiring reports whether the time of some grant is just over, or is so soon.
func (s *sim) expiring() bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return slices.ContainsFunc(s.ledger.all, func(e *entry) bool {
		left := time.Until(e.grant.ExpiresAt)
		return left > -3*time.Second && left < time.Second
	})
}

func (s *sim) converged() {
	before := map[string]string{}
	for _, n := range s.nodes {
		n.mu.Lock()
		s.checkRows(n)
		before[n.name] = fmt.Sprint(n.running.maps[desired.Grants], n.files[desired.Grants], n.running.maps[desired.Hosts])
		n.mu.Unlock()
	}
	s.ledger.mu.Lock()
	s.ledger.revision++ // something that concerns no node
	s.ledger.mu.Unlock()
	s.wake()
	time.Sleep(100 * time.Millisecond)
	for _, n := range s.nodes {
		n.mu.Lock()
		if after := fmt.Sprint(n.running.maps[desired.Grants], n.files[desired.Grants], n.running.maps[desired.Hosts]); after != before[n.name] {
			s.fail("I8: a further pass changed %s", n.describe())
		}
		n.mu.Unlock()
	}
}

// checkRows compares a node's memory and files with what follows from the log.
func (s *sim) checkRows(n *node) {
	want := desired.Table{}
	for _, e := range s.live() {
		if s.serves(n, environmentOf(e.key)) && time.Now().Before(e.grant.ExpiresAt) {
			want[e.key] = fmt.Sprintf("%d:%s", e.grant.ExpiresAt.Unix(), e.grant.ID)
		}
	}
	have := desired.Table{}
	for _, r := range n.running.maps[desired.Grants] {
		if _, twice := have[r.Key]; twice {
			s.fail("I8: %s stands twice on %s", r.Key, n.describe())
		}
		have[r.Key] = r.Value
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		s.fail("I8: want %v on %s", want, n.describe())
	}
	for m, lines := range map[desired.Map]int{desired.Grants: len(want), desired.Pools: 3, desired.Hosts: 3, desired.KIDs: 1} {
		if m == desired.Pools || m == desired.Hosts {
			lines *= len(s.environmentsOf(n))
		}
		text := n.files[m]
		if n.api != nil && text == "\n" {
			text = "" // the API takes no empty file
		}
		rows := desired.Table{}
		for _, r := range n.running.maps[m] {
			rows[r.Key] = r.Value
		}
		if text != string(rows.Text()) || len(rows) != lines {
			s.fail("I8: the file of %s is %q, want %d lines as in memory\n%s", m, text, lines, n.describe())
		}
	}
}

// recorded: what became of grants is on record, node by node, and said by every gateway.
func (s *sim) recorded() {
	newest := begin
	for _, g := range s.gateways {
		if g.born.After(newest) {
			newest = g.born
		}
	}
	s.ledger.mu.Lock()
	entries := slices.Clone(s.ledger.all)
	s.ledger.mu.Unlock()
	for _, e := range entries {
		if time.Since(e.endedAt) < 40*time.Second && e.ended != 0 || !time.Now().Before(e.grant.ExpiresAt) && e.ended == 0 {
			continue
		}
		s.answered(e)
		for _, n := range s.nodes {
			r := s.report(n, e)
			switch {
			case !s.serves(n, environmentOf(e.key)):
			case e.ended == 0 && r.VerifiedAt.IsZero():
				s.fail("%s is not on record as verified on %s", e.grant.ID, n.name)
			case e.ended != 0 && e.endedAt.After(newest.Add(settle)) && !s.judge.first[n.name].After(e.endedAt.Add(-look)) && r.RemovedAt.IsZero():
				s.fail("%s ended at %s and is not on record as removed on %s", e.grant.ID, stamp(e.endedAt), n.name)
			}
		}
	}
}

func (s *sim) report(n *node, e *entry) reconcile.Report {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.reports[n.name+" "+e.grant.ID]
}

func (s *sim) answered(e *entry) {
	q := reconcile.Question{
		Environment: environmentOf(e.key), Revision: max(e.ended, e.given), Opens: e.ended == 0, Expires: e.grant.ExpiresAt,
	}
	for _, g := range s.gateways {
		if a := g.fleet.Ask(q); a.Enforced != a.Total || a.Total == 0 {
			text := ""
			for _, st := range g.fleet.Status(q.Environment) {
				if text == "" && !st.Healthy {
					text = fmt.Sprintf("%+v", st)
				}
			}
			s.fail("I8: %s is enforced on %d of %d nodes, says %s: %s", e.grant.ID, a.Enforced, a.Total, g.name, text)
		}
	}
}
