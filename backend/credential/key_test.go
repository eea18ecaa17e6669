package credential

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// private opens a key of the pair, for looking for its bytes where they must not be.
func private(t *testing.T, k store.Key) *rsa.PrivateKey {
	t.Helper()
	p, err := open(sealer(t, 1), k)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// I14: nothing of the private key is in clear in its row.
func TestI14TheRowHoldsNoPrivateByteInClear(t *testing.T) {
	k := pair()[0]
	p := private(t, k)
	der, err := x509.MarshalPKCS8PrivateKey(p)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"d": p.D.Bytes(), "p": p.Primes[0].Bytes(), "q": p.Primes[1].Bytes(), "PKCS 8": der[len(der)-64:],
	}
	for _, field := range [][]byte{k.Sealed, k.Public, []byte(k.KID + k.Alg + k.State), fmt.Appendf(nil, "%+v", k)} {
		for name, secret := range secrets {
			for _, form := range [][]byte{
				secret[:16], []byte(base64.StdEncoding.EncodeToString(secret)[:20]), []byte(hex.EncodeToString(secret)[:32]),
			} {
				if bytes.Contains(field, form) {
					t.Errorf("%s is readable", name)
				}
			}
		}
	}
	if bytes.Contains(k.Public, []byte("PRIVATE")) {
		t.Error("the public half is a private key")
	}
	if bytes.Contains(k.Sealed, p.N.Bytes()[:16]) {
		t.Error("it is not encrypted")
	}
}

func TestAKeyIsNamedByItsThumbprint(t *testing.T) {
	k := pair()[0]
	// RFC 7638 by hand: the members in the order of the alphabet, without blanks.
	p := private(t, k)
	text := `{"e":"AQAB","kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(p.N.Bytes()) + `"}`
	digest := sha256.Sum256([]byte(text))
	if want := base64.RawURLEncoding.EncodeToString(digest[:]); k.KID != want {
		t.Errorf("KID %s, want %s", k.KID, want)
	}
	if p.E != 65537 || p.N.BitLen() < 2048 || k.Alg != "RS256" || k.State != Current || !k.Created.Equal(noon) {
		t.Errorf("%d bits, %+v", p.N.BitLen(), k)
	}
	if name := (PublicKey{KID: k.KID}).FileName(); name != k.KID+".pem" || strings.ContainsAny(name, "/ ") {
		t.Errorf("file %q", name)
	}
	if pair()[0].KID == pair()[1].KID || bytes.Equal(pair()[0].Sealed, pair()[1].Sealed) {
		t.Error("two keys are one")
	}
}

func TestInitIsIdempotent(t *testing.T) {
	keys := &memory{}
	kid, made, err := Init(t.Context(), keys, sealer(t, 1), noon)
	if err != nil || !made || len(keys.keys) != 1 || keys.keys[0].KID != kid {
		t.Fatalf("%q, %v, %v", kid, made, err)
	}
	for range 3 {
		again, made, err := Init(t.Context(), keys, sealer(t, 1), noon.Add(time.Hour))
		if err != nil || made || again != kid || len(keys.keys) != 1 {
			t.Fatalf("%q, %v, %v, %d keys", again, made, err, len(keys.keys))
		}
	}
	// A retired key signs nothing: there must be a new one.
	if err := keys.SetKeyState(t.Context(), kid, Current, Retired); err != nil {
		t.Fatal(err)
	}
	next, made, err := Init(t.Context(), keys, sealer(t, 1), noon)
	if err != nil || !made || next == kid || len(keys.keys) != 2 {
		t.Fatalf("%q, %v, %v", next, made, err)
	}
}

func TestInitTellsWhatTheStoreCannot(t *testing.T) {
	fail := errors.New("disk")
	if _, made, err := Init(t.Context(), &memory{fail: fail}, sealer(t, 1), noon); !errors.Is(err, fail) || made {
		t.Fatalf("%v, %v", made, err)
	}
	if _, err := Published(t.Context(), &memory{fail: fail}); !errors.Is(err, fail) {
		t.Fatal(err)
	}
}

// damaged is every way in which a row can be wrong, and what is said of it.
func damaged(t *testing.T) map[string]store.Key {
	t.Helper()
	change := func(f func(*store.Key)) store.Key {
		k := pair()[0]
		k.Sealed, k.Public = slices.Clone(k.Sealed), slices.Clone(k.Public)
		f(&k)
		return k
	}
	reseal := func(plain []byte) store.Key {
		return change(func(k *store.Key) {
			sealed, err := sealer(t, 1).Seal(k.KID, plain)
			if err != nil {
				t.Fatal(err)
			}
			k.Sealed = sealed
		})
	}
	other, err := x509.MarshalPKCS8PrivateKey(private(t, pair()[1]))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]store.Key{
		"sealed under another name": change(func(k *store.Key) { k.Sealed = pair()[1].Sealed }),
		"named as another":          change(func(k *store.Key) { k.KID = pair()[1].KID }),
		"nothing":                   change(func(k *store.Key) { k.Sealed = nil }),
		"a nonce only":              change(func(k *store.Key) { k.Sealed = k.Sealed[:12] }),
		"less than a nonce":         change(func(k *store.Key) { k.Sealed = k.Sealed[:11] }),
		"cut by a byte":             change(func(k *store.Key) { k.Sealed = k.Sealed[:len(k.Sealed)-1] }),
		"longer by a byte":          change(func(k *store.Key) { k.Sealed = append(k.Sealed, 0) }),
		"another key within":        reseal(other),
		"no key within":             reseal([]byte("not a key")),
		"nothing within":            reseal(nil),
	}
	for _, at := range []int{0, 11, 12, 100, len(pair()[0].Sealed) - 1} {
		all[fmt.Sprintf("byte %d", at)] = change(func(k *store.Key) { k.Sealed[at] ^= 1 })
	}
	return all
}

// A damaged key is seen at the start, signs nothing, and the error tells nothing of what is in it.
func TestADamagedKeySignsNothing(t *testing.T) {
	secret := private(t, pair()[0])
	check := func(name string, s *Sealer, k store.Key) {
		t.Helper()
		keys := &memory{keys: []store.Key{k}}
		if kid, made, err := Init(t.Context(), keys, s, noon); err == nil || made || kid != "" || len(keys.keys) != 1 {
			t.Errorf("%s: Init %q, %v, %v", name, kid, made, err)
		} else {
			silent(t, secret, err)
		}
		token, _, err := NewIssuer(keys, s, issuerName, time.Minute).Issue(t.Context(), claims(), noon)
		if err == nil || token != "" {
			t.Errorf("%s: issued %q", name, token)
		} else {
			silent(t, secret, err)
		}
	}
	for name, k := range damaged(t) {
		check(name, sealer(t, 1), k)
	}
	check("another encryption key", sealer(t, 2), pair()[0])
}

// silent checks that an error holds no key material, in any common form.
func silent(t *testing.T, p *rsa.PrivateKey, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, secret := range [][]byte{p.D.Bytes(), p.Primes[0].Bytes(), p.Primes[1].Bytes(), bytes.Repeat([]byte{7}, 8), []byte("not a key")} {
		for _, form := range []string{
			string(secret[:8]), hex.EncodeToString(secret)[:16], base64.StdEncoding.EncodeToString(secret)[:10], fmt.Sprint(secret[:6]),
		} {
			if strings.Contains(text, strings.Trim(form, "[]")) {
				t.Errorf("the error tells %q: %s", form, text)
			}
		}
	}
	if len(text) > 600 {
		t.Errorf("an error of %d bytes", len(text))
	}
}

// Nodes verify by what is published: the wrong public key under a kid would let somebody else sign.
func TestADamagedPublicHalfIsNotPublished(t *testing.T) {
	block, _ := pem.Decode(pair()[0].Public)
	tests := map[string][]byte{
		"nothing": nil, "no PEM": []byte("x"), "another key's": pair()[1].Public,
		"two blocks":   append(slices.Clone(pair()[0].Public), pair()[1].Public...),
		"cut":          pair()[0].Public[:len(pair()[0].Public)-40],
		"another type": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}),
		"garbage":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
	}
	for name, public := range tests {
		k := pair()[0]
		k.Public = public
		if all, err := Published(t.Context(), &memory{keys: []store.Key{pair()[1], k}}); err == nil || all != nil {
			t.Errorf("%s: published %v", name, all)
		}
		k.State = Retired
		if all, err := Published(t.Context(), &memory{keys: []store.Key{pair()[1], k}}); err != nil || len(all) != 1 {
			t.Errorf("%s, and retired: %d, %v", name, len(all), err)
		}
	}
}

func TestSealer(t *testing.T) {
	for _, n := range []int{0, 1, 16, 24, 31, 33, 64} {
		if s, err := NewSealer(make([]byte, n)); err == nil || s != nil {
			t.Errorf("a key of %d bytes", n)
		}
	}
	s := sealer(t, 1)
	first, err := s.Seal("name", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Seal("name", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) || bytes.Equal(first[:12], second[:12]) {
		t.Error("the same nonce twice")
	}
	if plain, err := s.Open("name", first); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	for _, name := range []string{"", "nam", "name ", "Name"} {
		if plain, err := s.Open(name, first); err == nil || plain != nil {
			t.Errorf("opened as %q", name)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", s, s, *s); strings.Contains(text, "7 7 7 7") || strings.Contains(text, "0x7, 0x7, 0x7") {
		t.Error("a printed Sealer shows its key")
	}
}

func TestSealerFromFile(t *testing.T) {
	const good = "AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, text := range []string{good, good + "\n", " " + good + "\r\n"} {
		s, err := SealerFromFile(write(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(s, pair()[0]); err != nil {
			t.Errorf("%q is another key: %v", text, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "a blank": "\n", "no base64": "!!!secret!!!", "too short": "AQcH", "cut": good[:20],
		"in hexadecimal": strings.Repeat("0107", 16), "two lines": good + "\n" + good, "raw": strings.Repeat("\x07", 32),
		"too long": "AAAA" + good,
	} {
		file := write(text)
		s, err := SealerFromFile(file)
		if err == nil || s != nil {
			t.Errorf("%s: made a sealer", name)
			continue
		}
		if text := strings.TrimSpace(text); text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o666, 0o660, 0o604, 0o602} {
		file := write(good)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if s, err := SealerFromFile(file); err == nil || s != nil || !strings.Contains(err.Error(), file) {
			t.Errorf("made a sealer of a file with mode %04o: %v", mode, err)
		}
	}
	if _, err := SealerFromFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("%v", err)
	}
}
