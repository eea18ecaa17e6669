package enforcement

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// row is a row of a map that a probe changes for its own time.
type row struct{ file, key, value string }

const grantKey = tokencorpus.Subject + "|" + tokencorpus.Pool

// mapProbes change a map through the runtime API, as the reconciler does, and put it back.
func mapProbes() []probe {
	in := func(seconds int64) string { return fmt.Sprint(time.Now().Unix() + seconds) }
	gone := func(string) string { return "" }
	value := func(v string) func(string) string { return func(string) string { return v } }
	long := strings.Repeat("g", 65)
	changes := []struct {
		name, file, key string
		change          func(old string) string // of the value; empty deletes the row
		why             string
	}{
		{"grant deleted", "grants", grantKey, gone, "no_grant"},
		{"grant expired a second ago", "grants", grantKey, func(string) string { return in(-1) + ":" + tokencorpus.GrantID }, "grant_expired"},
		{"grant expires now", "grants", grantKey, func(string) string { return in(0) + ":" + tokencorpus.GrantID }, "grant_expired"},
		{"grant with another id", "grants", grantKey, func(string) string { return in(60) + ":OTHER" }, "other_grant"},
		{"grant without id", "grants", grantKey, func(string) string { return in(60) }, "bad_grant"},
		{"grant with an empty id", "grants", grantKey, func(string) string { return in(60) + ":" }, "bad_grant"},
		{"grant with a long id", "grants", grantKey, func(string) string { return in(60) + ":" + long }, "bad_grant"},
		{"grant with three parts", "grants", grantKey, func(old string) string { return old + ":rw" }, "bad_grant"},
		{"grant with a comment", "grants", grantKey, func(old string) string { return old + "#x" }, "bad_grant"},
		{"grant in milliseconds", "grants", grantKey, func(old string) string { return strings.Replace(old, ":", "000:", 1) }, "bad_grant"},
		{"grant cut", "grants", grantKey, func(old string) string { return old[:9] }, "bad_grant"},
		{"grant negative", "grants", grantKey, value("-999999999:" + tokencorpus.GrantID), "bad_grant"},
		{"grant of zero", "grants", grantKey, value("0:" + tokencorpus.GrantID), "bad_grant"},
		{"grant of ten zeros", "grants", grantKey, value("0000000000:" + tokencorpus.GrantID), "grant_expired"},
		{"grant of words", "grants", grantKey, value("forever:" + tokencorpus.GrantID), "bad_grant"},
		{"grant with a plus", "grants", grantKey, value("+999999999:" + tokencorpus.GrantID), "bad_grant"},
		{"grant of twenty digits", "grants", grantKey, value("99999999999999999999:" + tokencorpus.GrantID), "bad_grant"},
		{"lease missing", "leases", "prod", gone, "stale"},
		{"lease ran out a second ago", "leases", "prod", func(string) string { return in(-1) }, "stale"},
		{"lease ends now", "leases", "prod", func(string) string { return in(0) }, "stale"},
		{"lease is no number", "leases", "prod", value("off"), "stale"},
		{"lease is negative", "leases", "prod", value("-1"), "stale"},
		{"lease in milliseconds", "leases", "prod", func(old string) string { return old + "000" }, "stale"},
		{"lease of zero", "leases", "prod", value("0"), "stale"},
		{"lease with a fraction", "leases", "prod", func(old string) string { return old + ".5" }, "stale"},
		{"lease cut", "leases", "prod", func(old string) string { return old[:9] }, "stale"},
		{"host deleted", "hosts", host, gone, "unknown_service"},
		{"host of no pool", "hosts", host, value("prod"), "unknown_service"},
		{"host with markup", "hosts", host, value("prod/<script>"), "unknown_service"},
		{"host of a pool in upper case", "hosts", host, value("prod/BILLING"), "unknown_service"},
		{"host of a list", "hosts", host, value("prod/billing,prod/ops"), "unknown_service"},
		{"host of three parts", "hosts", host, value("prod/billing/x"), "unknown_service"},
		{"host of another pool", "hosts", host, value("prod/ops"), "bad_aud"},
		{"pool deleted", "pools", tokencorpus.Pool, gone, "no_backend"},
		{"pool with a backend that is not there", "pools", tokencorpus.Pool, value("be_ghost"), "no_backend"},
		{"pool with our own backend", "pools", tokencorpus.Pool, value("be_haproxyaccess_denied"), "no_backend"},
		{"kid deleted", "kids", "clutch|{kid}", gone, "unknown_kid"},
		{"kid with a file that is not loaded", "kids", "clutch|{kid}", value("/etc/hostname"), "bad_signature"},
		{"kid with another key", "kids", "clutch|{kid}", value("{idp}"), "bad_signature"},
		{"kid with a secret", "kids", "clutch|{kid}", value("secret"), "bad_signature"},
	}
	var all []probe
	for _, c := range changes {
		all = append(all, probe{"map: " + c.name, func(w *world) error {
			// The token is one that was admitted a moment ago, so that a cache knows it.
			if _, _, err := w.admitted(get(host, bearer(w.good()))); err != nil {
				return err
			}
			fill := strings.NewReplacer("{kid}", w.keys.Clutch.KID, "{idp}", filepath.Join(w.input.KeysDir, tokencorpus.IDPName+"_"+w.keys.IDP.KID+".pem"))
			return w.changed(c.file, fill.Replace(c.key), func(old string) string { return fill.Replace(c.change(old)) }, func() error {
				return w.refused(get(host, bearer(w.good())), c.why)
			})
		}})
	}
	return append(append(all, keepAliveProbes()...), togetherProbes()...)
}

// togetherProbes send a token whose time is up while the row is something else than good: only a row of the same grant
// whose time is up as well makes that the reason.
func togetherProbes() []probe {
	late := func(name, row, why string) probe {
		return probe{"token and row: " + name, func(w *world) error {
			claims := tokencorpus.Ours(w.keys)
			claims["exp"] = time.Now().Unix() - 1
			token := tokencorpus.SignOurs(w.keys, claims)
			return w.changed("grants", grantKey, func(string) string { return row }, func() error {
				return w.refused(get(host, bearer(token)), why)
			})
		}}
	}
	return []probe{
		late("both have ended", "1700000000:"+tokencorpus.GrantID, "grant_expired"),
		late("another grant has ended", "1700000000:OTHER", "expired"),
		late("another grant lives", "9999999999:OTHER", "expired"),
		late("the grant lives", "9999999999:"+tokencorpus.GrantID, "expired"),
		late("there is none", "", "expired"),
		{"neither a grant nor a backend: the grant is the reason", func(w *world) error {
			return w.changed("grants", grantKey, func(string) string { return "" }, func() error {
				return w.changed("pools", tokencorpus.Pool, func(string) string { return "" }, func() error {
					return w.refused(get(host, bearer(w.good())), "no_grant")
				})
			})
		}},
		late("the row cannot be read", "soon:"+tokencorpus.GrantID, "bad_grant"),
	}
}

// keepAliveProbes change a map between two requests of one connection.
func keepAliveProbes() []probe {
	revoke := func(string) string { return "" }
	lapse := func(string) string { return fmt.Sprint(time.Now().Unix() - 1) }
	between := func(file, key string, change func(string) string, why string) func(*world) error {
		return func(w *world) error {
			connection, err := net.Dial("tcp", w.address)
			if err != nil {
				return err
			}
			defer connection.Close()
			reader := bufio.NewReader(connection)
			one := get(host, bearer(w.good()))
			for range 2 {
				if a, err := exchange(connection, reader, one); err != nil || a.status != 200 {
					return fmt.Errorf("first requests: status %d, %w", a.status, err)
				}
			}
			return w.changed(file, key, change, func() error {
				before := w.upstream.count.Load()
				a, err := exchange(connection, reader, one)
				if err != nil {
					return err
				}
				if w.upstream.count.Load() != before {
					return errors.New("the request reached the service")
				}
				return checkRefusal(one, a, why)
			})
		}
	}
	return []probe{
		{"keep-alive: the row is deleted", between("grants", grantKey, revoke, "no_grant")},
		{"keep-alive: the lease runs out", between("leases", "prod", lapse, "stale")},
		{"keep-alive: the grant expires", between("grants", grantKey, func(string) string {
			return fmt.Sprint(time.Now().Unix()) + ":" + tokencorpus.GrantID
		}, "grant_expired")},
		{"duplicated row: the first counts, and both are deleted", func(w *world) error {
			file := filepath.Join(w.input.MapsDir, "grants.map")
			if answer, err := w.runtime(fmt.Sprintf("add map %s %s 9999999999:OTHER", file, grantKey)); err != nil || answer != "" {
				return fmt.Errorf("add row: %q, %w", answer, err)
			}
			_, _, err := w.admitted(get(host, bearer(w.good())))
			// changed deletes both and puts one back
			return errors.Join(err, w.changed("grants", grantKey, revoke, func() error {
				return w.refused(get(host, bearer(w.good())), "no_grant")
			}))
		}},
	}
}

// changed runs f while a row is changed, and puts the row back.
func (w *world) changed(file, key string, change func(string) string, f func() error) error {
	r := row{filepath.Join(w.input.MapsDir, file+".map"), key, ""}
	answer, err := w.runtime("show map " + r.file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(answer) {
		if parts := strings.Fields(line); len(parts) == 3 && parts[1] == key {
			r.value = parts[2]
			break
		}
	}
	if r.value == "" {
		return fmt.Errorf("%s has no row %q", file, key)
	}
	changed := change(r.value)
	if err := w.replace(r, changed); err != nil {
		return err
	}
	return errors.Join(f(), w.replace(r, r.value))
}

func (w *world) replace(r row, value string) error {
	if _, err := w.runtime(fmt.Sprintf("del map %s %s", r.file, r.key)); err != nil {
		return err
	}
	if value == "" {
		return nil
	}
	answer, err := w.runtime(fmt.Sprintf("add map %s %s %s", r.file, r.key, value))
	if err != nil || answer != "" {
		return fmt.Errorf("add row: %q, %w", answer, err)
	}
	return nil
}
