package reconcile

import "time"

// Timing of the loops. The zero value of a field takes its default.
type Timing struct {
	// Watch is how often the node is asked whether its worker is still the same; 1s.
	Watch time.Duration
	// Full is the longest time between two full passes where no lease asks for a shorter one; 10s.
	Full time.Duration
	// Pass is the longest time that a pass may take; 30s.
	Pass time.Duration
	// Backoff after a failed pass: at first, doubled each time up to the maximum, with jitter; 200ms and 5s. Floor is what a
	// wake leaves of it at most, half of it by chance: nodes that fail are not hammered by all that people do; 500ms.
	Backoff, MaxBackoff, Floor time.Duration
	// Takeover is how long after the last proof that the one before was the writer a new one may write: for longer than a call
	// of it may be under way, which ends within Call of that proof; 6s and 5s. Settle is how long after its claim it may, however
	// long that proof is ago; 1.5s, which the elections of package store rely on.
	Takeover, Call, Settle time.Duration
	// Claim is how often a gateway that is not the writer tries to become it, and Follow how often it reads the board; 1s and
	// 250ms.
	Claim, Follow time.Duration
	// Late is how long after it was given up a write may still be carried out; 30s.
	Late time.Duration
}

func (t Timing) withDefaults() Timing {
	for _, field := range []struct {
		d  *time.Duration
		to time.Duration
	}{
		{&t.Watch, time.Second}, {&t.Full, 10 * time.Second}, {&t.Pass, 30 * time.Second},
		{&t.Backoff, 200 * time.Millisecond}, {&t.MaxBackoff, 5 * time.Second}, {&t.Floor, 500 * time.Millisecond},
		{&t.Takeover, 6 * time.Second}, {&t.Call, 5 * time.Second}, {&t.Claim, time.Second},
		{&t.Settle, 1500 * time.Millisecond}, {&t.Follow, 250 * time.Millisecond}, {&t.Late, 30 * time.Second},
	} {
		if *field.d <= 0 {
			*field.d = field.to
		}
	}
	return t
}

// of is the timing for the loop of a target: a lease is renewed in time.
func (t Timing) of(target Target) Timing {
	for _, e := range target.Environments {
		if e.Lease > 0 {
			t.Full = min(t.Full, renewal(e.Lease))
		}
	}
	t.Watch = min(t.Watch, t.Full)
	return t
}
