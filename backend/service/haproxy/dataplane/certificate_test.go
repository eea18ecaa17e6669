package dataplane_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// authority issues certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	noError(t, err)
	a.certificate, err = x509.ParseCertificate(der)
	noError(t, err)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	return key
}

// issue returns a certificate for 127.0.0.1 and for a client of the name, and its key.
func (a *authority) issue(name string) (certificate, key []byte) {
	a.t.Helper()
	private := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	noError(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	noError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// secured serves a /v3 node over TLS to clients with a certificate of the authority, and says who came.
func secured(t *testing.T, server, clients *authority) (url string, came func() string, open *atomic.Int64) {
	t.Helper()
	certificate, key := server.issue("node")
	pair, err := tls.X509KeyPair(certificate, key)
	noError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(clients.certificate)
	names := make(chan string, 1000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			names <- "a password"
		} else {
			names <- r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if r.URL.Path == "/v3/info" {
			_, _ = io.WriteString(w, `{"api":{}}`)
			return
		}
		_, _ = io.WriteString(w, `[]`)
	}))
	open = &atomic.Int64{}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, func() string {
		last := ""
		for len(names) > 0 {
			last = <-names
		}
		return last
	}, open
}

func TestClientCertificateAndRootsAreReadAgainWhenTheirFilesChange(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	url, came, open := secured(t, ca, ca)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, text []byte) { t.Helper(); noError(t, os.WriteFile(path(name), text, 0o600)) }
	give := func(name string) {
		t.Helper()
		certificate, key := ca.issue(name)
		write("cert", certificate)
		write("key", key)
	}
	c, err := dataplane.New(dataplane.Options{
		URL: url, ClientCertificate: dataplane.FileCertificate(path("cert"), path("key")), Roots: dataplane.FileRoots(path("ca")),
	})
	noError(t, err)
	t.Cleanup(c.Close)
	read := func() error { _, err := c.Entries(ctx(t), grants); return err }
	works := func(as string) {
		t.Helper()
		noError(t, read())
		if got := came(); got != as {
			t.Fatalf("the node saw %q, want %q", got, as)
		}
	}

	wantIs(t, read(), dataplane.ErrCertificate)
	wantIs(t, read(), os.ErrNotExist)
	give("one")
	wantIs(t, read(), dataplane.ErrRoots)
	write("ca", ca.pem)
	works("one")
	noError(t, c.CredentialError())
	give("two")
	works("two")

	_, stranger := ca.issue("three")
	marker := "MARKER-s3cret"
	for name, broken := range map[string]struct {
		file string
		text []byte
		says string
	}{
		"key of another":  {"key", stranger, "client certificate: read client certificate and key: "},
		"key with secret": {"key", []byte("-----BEGIN " + marker + "-----\n" + marker), "client certificate: read client certificate and key: "},
		"empty cert":      {"cert", nil, "client certificate: read client certificate and key: "},
		"large cert":      {"cert", bytes.Repeat([]byte("a"), 1<<20+1), "client certificate: read client certificate file: it is larger"},
		"no authority":    {"ca", []byte("nothing"), "certificate authorities: read ca file: no certificate"},
	} {
		before, err := os.ReadFile(path(broken.file))
		noError(t, err)
		write(broken.file, broken.text)
		works("two")
		err = c.CredentialError()
		if err == nil || !strings.HasPrefix(err.Error(), broken.says) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), marker) {
			t.Errorf("%s: credential error is %v", name, err)
		}
		write(broken.file, before)
		works("two")
		noError(t, c.CredentialError())
	}

	write("ca", other.pem) // a connection that the old authorities allowed must not be used on
	wantIs(t, read(), dataplane.ErrUnreachable)
	for deadline := time.Now().Add(20 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection of before is still open")
		}
	}
	write("ca", append(other.pem, ca.pem...))
	works("two")
}

func TestCertificateIsParsedOnlyWhenItChanged(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	certificate, key := ca.issue("one")
	file := filepath.Join(dir, "both") // one file with both
	noError(t, os.WriteFile(file, append(certificate, key...), 0o600))
	read := dataplane.FileCertificate(file, file)
	first, err := read()
	noError(t, err)
	again, err := read()
	noError(t, err)
	if first != again {
		t.Error("parsed again")
	}
}

// The password goes out beside a certificate where both are set.
func TestPasswordGoesWithACertificate(t *testing.T) {
	ca := newAuthority(t)
	url, came, _ := secured(t, ca, ca)
	certificate, key := ca.issue("one")
	pair, err := tls.X509KeyPair(certificate, key)
	noError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	c, err := dataplane.New(dataplane.Options{
		URL: url, ClientCertificate: func() (*tls.Certificate, error) { return &pair, nil }, RootCAs: pool,
		Username: dataplanetest.Username, Password: func() (string, error) { return dataplanetest.Password, nil },
	})
	noError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Entries(ctx(t), grants)
	noError(t, err)
	if got := came(); got != "a password" {
		t.Errorf("the node saw %q", got)
	}
}
