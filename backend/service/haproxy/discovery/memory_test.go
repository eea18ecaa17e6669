package discovery

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func endpoints(all ...string) []netip.AddrPort {
	var parsed []netip.AddrPort
	for _, e := range all {
		parsed = append(parsed, netip.MustParseAddrPort(e))
	}
	return parsed
}

func answer(all ...string) Answer { return Answer{Endpoints: endpoints(all...)} }

func text(all []netip.AddrPort) string {
	var words []string
	for _, e := range all {
		words = append(words, e.String())
	}
	return strings.Join(words, " ")
}

var four = []string{"10.0.0.1:5", "10.0.0.2:5", "10.0.0.3:5", "10.0.0.4:5"}

// What three answers in a row that are alike leave of four known nodes, by hand. loud: each of the three is reported.
func TestABadAnswerForgetsNoNode(t *testing.T) {
	broken := errors.New("i/o timeout")
	all := strings.Join(four, " ")
	for name, c := range map[string]struct {
		answer Answer
		err    error
		max    int
		want   string
		loud   bool
	}{
		"the same":                       {answer(four...), nil, 50, all, false},
		"in another order, with doubles": {answer(four[3], four[1], four[1], four[0], four[2], four[3]), nil, 50, all, false},
		"mapped into IPv6":               {answer("[::ffff:10.0.0.1]:5", four[1], four[2], four[3]), nil, 50, all, false},
		"failed":                         {Answer{}, broken, 100, all, true},
		"failed with some":               {answer(four[0]), broken, 100, all, true},
		"empty":                          {Answer{}, nil, 100, all, true},
		"only refused ones":              {answer("127.0.0.1:5", "224.0.0.1:5"), nil, 100, all, true},
		"incomplete":                     {Answer{Endpoints: endpoints(four[0]), Incomplete: broken}, nil, 100, all, true},
		"incomplete with a new one":      {Answer{Endpoints: endpoints("10.0.0.9:5"), Incomplete: broken}, nil, 100, all + " 10.0.0.9:5", true},
		"one missing of four, 25 may":    {answer(four[:3]...), nil, 25, strings.Join(four[:3], " "), false},
		"one missing of four, 24 may":    {answer(four[:3]...), nil, 24, all, true},
		"two missing of four, 50 may":    {answer(four[:2]...), nil, 50, strings.Join(four[:2], " "), false},
		"three missing of four, 50 may":  {answer(four[:1]...), nil, 50, all, true},
		"all others":                     {answer("10.6.6.6:5", "10.6.6.7:5", "10.6.6.8:5", "10.6.6.9:5"), nil, 50, all, true},
		"all others, and 100 may":        {answer("10.6.6.6:5"), nil, 100, "10.6.6.6:5", false},
		"one more":                       {answer(append([]string{"10.0.0.9:5"}, four...)...), nil, 0, all + " 10.0.0.9:5", false},
		"another port is another node":   {answer(four[0], four[1], four[2], "10.0.0.4:6"), nil, 50, strings.Join(four[:3], " ") + " 10.0.0.4:6", false},
	} {
		m := NewMemory(Options{MaxLossPercent: c.max})
		if changed, err := m.Take(answer(four...), nil); !changed || err != nil {
			t.Fatalf("%s: the first answer: %t, %v", name, changed, err)
		}
		for range patience {
			if _, err := m.Take(c.answer, c.err); (err != nil) != c.loud {
				t.Errorf("%s: error %v, loud %t", name, err, c.loud)
			}
		}
		if got := text(m.Known()); got != c.want {
			t.Errorf("%s: knows %s, want %s", name, got, c.want)
		}
	}
}

// However often it comes: whoever broke the zone can repeat it.
func TestRepetitionMakesNoAnswerBelieved(t *testing.T) {
	m := NewMemory(Options{MaxLossPercent: 50})
	m.Take(answer(four...), nil)
	for range 100 {
		if changed, err := m.Take(answer("10.6.6.6:5"), nil); changed || err == nil {
			t.Fatalf("changed %t, error %v", changed, err)
		}
	}
}

func TestANodeIsForgottenAfterThreeAnswersWithoutItInARow(t *testing.T) {
	m := NewMemory(Options{MaxLossPercent: 50})
	m.Take(answer(four...), nil)
	without, with := answer(four[:3]...), answer(four...)
	for i, c := range []struct {
		answer  Answer
		err     error
		changed bool
		left    int
	}{
		{without, nil, false, 4}, {without, nil, false, 4}, {with, nil, false, 4}, // it is back: counted anew
		{without, nil, false, 4}, {without, errors.New("no"), false, 4}, {without, nil, false, 4}, {without, nil, true, 3},
		{without, nil, false, 3}, {with, nil, true, 4},
	} {
		changed, _ := m.Take(c.answer, c.err)
		if changed != c.changed || len(m.Known()) != c.left {
			t.Errorf("answer %d: changed %t, %d left; want %t, %d", i, changed, len(m.Known()), c.changed, c.left)
		}
	}
}

// The password goes where DNS says: never into the machine itself, or to the cloud's metadata, unless a network says so.
func TestAnAddressThatNoNodeCanHaveIsRefusedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		networks []string
		endpoint string
		taken    bool
	}{
		"public":                          {nil, "192.0.2.1:5", true},
		"private":                         {nil, "10.0.0.9:5", true},
		"IPv6":                            {nil, "[2001:db8::1]:5", true},
		"loopback":                        {nil, "127.0.0.1:5", false},
		"loopback, IPv6":                  {nil, "[::1]:5", false},
		"loopback, mapped":                {nil, "[::ffff:127.0.0.1]:5", false},
		"the cloud's metadata":            {nil, "169.254.169.254:80", false},
		"link-local, IPv6":                {nil, "[fe80::1]:5", false},
		"with a zone":                     {[]string{"fe80::/10"}, "[fe80::1%eth0]:5", false},
		"unspecified":                     {[]string{"0.0.0.0/0"}, "0.0.0.0:5", false},
		"unspecified, IPv6":               {[]string{"::/0"}, "[::]:5", false},
		"multicast":                       {[]string{"0.0.0.0/0"}, "224.0.0.1:5", false},
		"broadcast":                       {[]string{"0.0.0.0/0"}, "255.255.255.255:5", false},
		"port 0":                          {[]string{"10.0.0.0/8"}, "10.0.0.9:0", false},
		"in the networks":                 {[]string{"10.1.0.0/16", "10.0.0.0/16"}, "10.0.0.9:5", true},
		"outside of the networks":         {[]string{"10.1.0.0/16"}, "10.0.0.9:5", false},
		"loopback, and the networks know": {[]string{"127.0.0.0/8"}, "127.0.0.9:5", true},
		"another family than theirs":      {[]string{"10.0.0.0/8"}, "[2001:db8::1]:5", false},
	} {
		networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		if c.networks == nil {
			networks = nil
		}
		for _, n := range c.networks {
			networks = append(networks, netip.MustParsePrefix(n))
		}
		m := NewMemory(Options{MaxLossPercent: 50, Networks: networks})
		_, err := m.Take(answer("192.0.2.7:5", c.endpoint), nil)
		want := 1
		if c.taken {
			want = 2
		}
		if got := len(m.Known()); got != want || (err == nil) != c.taken {
			t.Errorf("%s: knows %s, %v", name, text(m.Known()), err)
		}
	}
}
