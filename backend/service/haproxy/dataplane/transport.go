package dataplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// wire is the way to the node. What TLS needs comes from files, and http.Transport takes it once: another certificate
// or other authorities make another transport, and connections that the old ones opened end with their last call.
type wire struct {
	fixed        http.RoundTripper // in place of all else, if set
	loopbackOnly bool
	certificate  *kept[*tls.Certificate] // nil: none
	roots        *kept[*x509.CertPool]   // nil: the system's

	mu              sync.Mutex
	built           *http.Transport
	withCertificate *tls.Certificate
	withRoots       *x509.CertPool
}

// client follows no redirect and uses no proxy of the environment: both would carry the credentials to a place that the
// configuration does not name. Errors: ErrCertificate, ErrRoots.
func (w *wire) client() (*http.Client, error) {
	transport, err := w.transport()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (w *wire) transport() (http.RoundTripper, error) {
	if w.fixed != nil {
		return w.fixed, nil
	}
	var certificate *tls.Certificate
	var roots *x509.CertPool
	var err error
	if w.certificate != nil {
		if certificate, err = w.certificate.get(); err != nil {
			return nil, &Error{Reason: ErrCertificate, Retryable: true, cause: err}
		}
	}
	if w.roots != nil {
		if roots, err = w.roots.get(); err != nil {
			return nil, &Error{Reason: ErrRoots, Retryable: true, cause: err}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.built != nil && w.withCertificate == certificate && w.withRoots == roots {
		return w.built, nil
	}
	if w.built != nil {
		w.built.CloseIdleConnections()
	}
	w.built, w.withCertificate, w.withRoots = newTransport(certificate, roots, w.loopbackOnly), certificate, roots
	return w.built, nil
}

func (w *wire) closeIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.built != nil {
		w.built.CloseIdleConnections()
	}
}

func newTransport(certificate *tls.Certificate, roots *x509.CertPool, loopbackOnly bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	if loopbackOnly {
		dialer.ControlContext = refuseRemote
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		settings.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

// refuseRemote runs after the name is resolved and before a connection is made.
func refuseRemote(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Unmap().IsLoopback() {
		return errors.New("plain http to an address that is not loopback")
	}
	return nil
}
