package enforcement

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is the service behind every pool. It answers with what it received.
type upstream struct {
	port  int
	count atomic.Int64
}

// seen is what the service received.
type seen struct {
	Method, URI, Host string
	Header, Trailer   http.Header
	Body              string
	TransferEncoding  []string
	ContentLength     int64
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.port = server.Listener.Addr().(*net.TCPAddr).Port
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.count.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// A test can make the service send cookies.
	for _, cookie := range r.Header.Values("Send-Cookie") {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen{
		Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header, Trailer: r.Trailer, Body: string(body),
		TransferEncoding: r.TransferEncoding, ContentLength: r.ContentLength,
	})
}

// certificate is a self-signed one with its key, as HAProxy reads it.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}
