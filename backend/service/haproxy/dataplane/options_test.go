package dataplane_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

var errDeadline = context.DeadlineExceeded

func TestAddressesThatWouldLeakThePasswordAreRefused(t *testing.T) {
	for url, plaintextToo := range map[string]bool{ // true: refused with AllowPlaintext as well
		"http://10.0.0.7:5555":              false,
		"http://node.example.com:5555":      false,
		"http://127.0.0.1.example.com:5555": false,
		"http://0.0.0.0:5555":               false,
		"http://[fe80::1]:5555":             false,
		"https://u:s3cret@10.0.0.7:5555":    true,
		"http://u:s3cret@127.0.0.1:5555":    true,
		"https://10.0.0.7:5555/v2":          true,
		"https://10.0.0.7:5555?a=s3cret":    true,
		"https://10.0.0.7:5555#s3cret":      true,
		"https://10.0.0.7:s3cret":           true,
		"ftp://s3cret":                      true,
		"unix:/s3cret":                      true,
		"10.0.0.7:5555":                     true,
		"https://":                          true,
		"":                                  true,
		"https://u:s3cret@%zz":              true,
	} {
		for _, allow := range []bool{false, true} {
			_, err := dataplane.New(dataplane.Options{
				URL: url, Username: "u", AllowPlaintext: allow, Password: func() (string, error) { return "p", nil },
			})
			if refused := err != nil; refused != (plaintextToo || !allow) {
				t.Errorf("%s, plaintext allowed %v: error is %v", url, allow, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error repeats the address: %v", err)
			}
		}
	}
	for _, url := range []string{"https://10.0.0.7:5555", "https://node.example.com", "http://127.0.0.1:5555/", "http://[::1]:5555", "http://localhost:5555"} {
		if _, err := dataplane.New(dataplane.Options{URL: url, Username: "u", Password: func() (string, error) { return "p", nil }}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// "localhost" may lead anywhere; where it led is seen only when it is dialled.
func TestPlainHTTPDialsLoopbackOnly(t *testing.T) {
	s, c := start(t)
	if conn, err := dataplane.Dial(ctx(t), c, "192.0.2.1:5555"); err == nil {
		_ = conn.Close()
		t.Error("connected")
	} else if !strings.Contains(err.Error(), "not loopback") {
		t.Errorf("error is %v", err)
	}
	conn, err := dataplane.Dial(ctx(t), c, strings.TrimPrefix(s.URL, "http://"))
	noError(t, err)
	noError(t, conn.Close())
}

func TestMissingOptionsAreErrors(t *testing.T) {
	password := func() (string, error) { return "p", nil }
	for name, o := range map[string]dataplane.Options{
		"no username":        {URL: "https://a", Password: password},
		"colon in username":  {URL: "https://a", Username: "a:b", Password: password},
		"no password":        {URL: "https://a", Username: "u"},
		"negative timeout":   {URL: "https://a", Username: "u", Password: password, Timeout: -1},
		"negative bulk":      {URL: "https://a", Username: "u", Password: password, BulkTimeout: -1},
		"user, no password":  {URL: "https://a", Username: "u", ClientCertificate: dataplane.FileCertificate("c", "k")},
		"certificate, http":  {URL: "http://127.0.0.1:1", ClientCertificate: dataplane.FileCertificate("c", "k")},
		"two kinds of roots": {URL: "https://a", Username: "u", Password: password, RootCAs: x509.NewCertPool(), Roots: dataplane.FileRoots("c")},
		"roots in memory":    {URL: "https://a", Username: "u", Password: password, Roots: dataplane.FileRoots("c"), Transport: http.DefaultTransport},
		"negative maxanswer": {URL: "https://a", Username: "u", Password: password, MaxAnswer: -1},
	} {
		if _, err := dataplane.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestChangedPasswordFileCountsAtTheNextCall(t *testing.T) {
	s, _ := start(t)
	path := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		noError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	o := s.Options()
	o.Password = dataplane.FilePassword(path)
	c, err := dataplane.New(o)
	noError(t, err)
	t.Cleanup(c.Close)
	read := func() error { _, err := c.Entries(ctx(t), grants); return err }

	wantIs(t, read(), dataplane.ErrPassword) // no file yet
	wantIs(t, read(), os.ErrNotExist)
	write(dataplanetest.Password + "\n")
	noError(t, read())
	s.SetPasswords("marker-OTHER")
	wantIs(t, read(), dataplane.ErrUnauthorized)
	write("marker-OTHER")
	noError(t, read())
	noError(t, c.CredentialError())
	for name, text := range map[string]string{
		"empty": "", "newline": "\n", "two lines": "a\nb\n", "nul": "a\x00", "large": strings.Repeat("a", 5000),
	} {
		write(text)
		noError(t, read()) // with the password of before
		if err := c.CredentialError(); err == nil || !strings.Contains(err.Error(), "password: ") {
			t.Errorf("%s: credential error is %v", name, err)
		}
	}
	s.SetPasswords("marker-NEXT")
	wantIs(t, read(), dataplane.ErrUnauthorized)
	write("marker-NEXT")
	noError(t, read())
	noError(t, c.CredentialError())
	// One that everybody can read is none.
	write("marker-OTHER")
	noError(t, os.Chmod(path, 0o644))
	noError(t, read()) // with the password of before
	if err := c.CredentialError(); err == nil || strings.Contains(err.Error(), "marker") {
		t.Errorf("a file that everybody can read: %v", err)
	}
}

func TestPasswordFileLosesOneNewlineOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", " a \n": " a "} {
		noError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := dataplane.FilePassword(path)()
		if err != nil || got != want {
			t.Errorf("%q reads %q, %v; want %q", text, got, err, want)
		}
	}
}
