package enforcement

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// signatureProbes send a good token first, so that a cache of signatures knows it, and then one that is nearly the same,
// twice: what was refused must not be remembered as good.
func signatureProbes() []probe {
	var all []probe
	add := func(name, why string, change func(w *world, good []string) string) {
		all = append(all, probe{"signature: " + name, func(w *world) error {
			good := w.good()
			if _, _, err := w.admitted(get(host, bearer(good))); err != nil {
				return err
			}
			changed := change(w, strings.Split(good, "."))
			if changed == good {
				return errors.New("the token is not changed")
			}
			for range 2 {
				if err := w.refused(get(host, bearer(changed)), why); err != nil {
					return err
				}
			}
			_, _, err := w.admitted(get(host, bearer(good)))
			return err
		}})
	}
	other := func(c string) string { return map[bool]string{true: "B", false: "A"}[c == "A"] }
	add("its first letter is another", "bad_signature", func(_ *world, p []string) string {
		return p[0] + "." + p[1] + "." + other(p[2][:1]) + p[2][1:]
	})
	add("its last letters are missing", "bad_signature", func(_ *world, p []string) string { return p[0] + "." + p[1] + "." + p[2][:len(p[2])-4] })
	add("it is another token's", "bad_signature", func(w *world, p []string) string {
		next := strings.Split(tokencorpus.SignOurs(w.keys, tokencorpus.Ours(w.keys).With("jti", "another")), ".")
		return p[0] + "." + p[1] + "." + next[2]
	})
	add("the claims are another token's", "bad_signature", func(w *world, p []string) string {
		next := strings.Split(tokencorpus.SignOurs(w.keys, tokencorpus.Ours(w.keys).With("jti", "another")), ".")
		return p[0] + "." + next[1] + "." + p[2]
	})
	add("the same claims by a stranger", "bad_signature", func(w *world, _ []string) string {
		return tokencorpus.Sign(tokencorpus.Key{KID: w.keys.Clutch.KID, Private: w.keys.Stranger.Private}, "at+jwt", tokencorpus.Ours(w.keys))
	})
	add("the same claims under another kid", "unknown_kid", func(w *world, _ []string) string {
		return tokencorpus.Sign(tokencorpus.Key{KID: "unknown", Private: w.keys.Clutch.Private}, "at+jwt", tokencorpus.Ours(w.keys))
	})
	add("the same token for another pool", "bad_aud", func(w *world, _ []string) string {
		return tokencorpus.SignOurs(w.keys, tokencorpus.Ours(w.keys).With("aud", "prod/ops"))
	})
	return all
}

// The cache is really there, and what it knows is the whole token under one key's file.
func TestSignatureCacheHoldsTheHashOfKeyAndToken(t *testing.T) {
	w := newSetOf(t, true).run(t)
	good := w.good()
	for range 2 {
		if _, _, err := w.admitted(get(host, bearer(good))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.refused(get(host, bearer(good+"x")), "bad_signature"); err != nil {
		t.Fatal(err)
	}
	table, err := w.runtime("show table st_haproxyaccess_signatures")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(w.keys.ClutchFile + "|" + good))
	if !strings.Contains(table, "key="+strings.ToUpper(hex.EncodeToString(sum[:]))+" use=0 ") || strings.Count(table, "key=") != 1 || !strings.Contains(table, "gpt0=1") {
		t.Errorf("the table is %s", table)
	}
	// a table that other workers share would outlive the configuration by which a token was judged
	if strings.Contains(string(w.config), "peers") {
		t.Error("the table is shared")
	}
	if plain := string(newSet(t).config); strings.Contains(plain, "sha2(") || strings.Contains(plain, "signatures") {
		t.Error("there is a cache though none is wanted")
	}
}

// What a cache remembers is not judged in itself again: it must be good in itself. The oracle is the table of tokens: those
// that only time, a map or the host keep out are good in themselves.
func TestSignatureCacheRemembersNothingBad(t *testing.T) {
	w := newSetOf(t, true).run(t)
	good := map[string]bool{"": true, "expired": true, "no_grant": true, "other_grant": true}
	want, remembered := map[string]string{}, 0
	files, err := filepath.Glob(filepath.Join(w.input.KeysDir, "*.pem"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the keys are %q, %v", files, err)
	}
	for _, c := range tokencorpus.Cases() {
		token := w.token(c)
		for _, file := range files {
			sum := sha256.Sum256([]byte(file + "|" + token))
			want[strings.ToUpper(hex.EncodeToString(sum[:]))] = c.Why
		}
		for range 2 {
			if _, err := w.send(get(host, bearer(token))); err != nil {
				t.Fatal(err)
			}
		}
	}
	table, err := w.runtime("show table st_haproxyaccess_signatures")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`key=([0-9A-F]+) `).FindAllStringSubmatch(table, -1) {
		remembered++
		if why, known := want[match[1]]; !known || !good[why] {
			t.Errorf("a token is remembered that is refused for %q", why)
		}
	}
	if remembered < 10 {
		t.Errorf("%d tokens are remembered only", remembered)
	}
}

// A signature that is known does not make its token younger, and a key that was withdrawn and came back is the same key:
// nothing needs to be taken out of the cache.
func TestSignatureCacheForgivesNothing(t *testing.T) {
	w := newSetOf(t, true).run(t)
	claims := tokencorpus.Ours(w.keys)
	claims["exp"] = time.Now().Unix() + 3
	short := tokencorpus.SignOurs(w.keys, claims)
	if _, _, err := w.admitted(get(host, bearer(short))); err != nil {
		t.Fatal(err)
	}
	kid := "clutch|" + w.keys.Clutch.KID
	if err := w.changed("kids", kid, func(string) string { return "" }, func() error {
		return w.refused(get(host, bearer(w.good())), "unknown_kid")
	}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.admitted(get(host, bearer(w.good()))); err != nil {
		t.Errorf("after the key came back: %v", err)
	}
	// By the token's own time at the latest.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		late := time.Now().Unix() > claims["exp"].(int64)
		err := w.refused(get(host, bearer(short)), "expired")
		if err == nil {
			break
		}
		if late || time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("after its end: %w", err))
		}
	}
}
