package dataplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	defaultTimeout   = 10 * time.Second
	defaultMaxAnswer = 64 << 20
	maxHeader        = 64 << 10
)

// Options say how one node's Data Plane API is reached. URL, Username and Password must be set.
type Options struct {
	// URL is scheme, host and port, as "https://10.0.0.7:5555", without the API's version.
	URL      string
	Username string
	// Password is asked at every call; its owner reads it again when it changes. Its errors must not hold it.
	Password func() (string, error)
	// AllowPlaintext lets the password go over plain http to an address that is not loopback.
	AllowPlaintext bool
	// RootCAs are trusted in place of the system's.
	RootCAs *x509.CertPool
	// Timeout bounds each call to the API, not the sum of several. 10 s if zero.
	Timeout time.Duration
	// MaxAnswer bounds an answer's body in bytes. 64 MiB if zero: about 500,000 map entries.
	MaxAnswer int64
	// Now is the gateway's clock. time.Now if nil.
	Now func() time.Time
}

// Client speaks to the Data Plane API of one node. Make it with New.
type Client struct {
	base      *url.URL
	username  string
	password  func() (string, error)
	http      *http.Client
	timeout   time.Duration
	maxAnswer int64
	now       func() time.Time
	dialect   dialect

	changePause time.Duration // before a change is tried again
	settlePause time.Duration // between two looks at what runs
}

// New returns a client, and calls nothing. Its errors never repeat the URL, which may hold credentials by mistake.
func New(o Options) (*Client, error) {
	base, err := checkURL(o.URL, o.AllowPlaintext)
	if err != nil {
		return nil, fmt.Errorf("data plane api: %w", err)
	}
	if o.Username == "" || strings.ContainsAny(o.Username, ":\r\n\x00") {
		return nil, errors.New("data plane api: username is empty or has a colon or a control character")
	}
	if o.Password == nil {
		return nil, errors.New("data plane api: no password function")
	}
	if o.Timeout < 0 || o.MaxAnswer < 0 {
		return nil, errors.New("data plane api: negative timeout or limit")
	}
	c := &Client{
		base: base, username: o.Username, password: o.Password,
		timeout: o.Timeout, maxAnswer: o.MaxAnswer, now: o.Now, dialect: v2(),
		changePause: 50 * time.Millisecond, settlePause: 100 * time.Millisecond,
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.maxAnswer == 0 {
		c.maxAnswer = defaultMaxAnswer
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.http = newHTTP(o, base.Scheme == "http" && !o.AllowPlaintext)
	return c, nil
}

// Dialect names the version of the API that the client speaks: "v2".
func (c *Client) Dialect() string { return c.dialect.name }

// Close gives up idle connections. The client may still be used afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func checkURL(text string, allowPlaintext bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("url is not scheme://host:port")
	}
	if u.User != nil {
		return nil, errors.New("url holds credentials: use username and password")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("url has more than scheme, host and port")
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !allowPlaintext && !namesLoopback(u.Hostname()) {
			return nil, errors.New("url is plain http to an address that is not loopback: the password would be readable")
		}
	default:
		return nil, errors.New("url is neither http nor https")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func namesLoopback(host string) bool {
	if host == "localhost" {
		return true // where it leads is checked again when it is dialled
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// newHTTP builds a client that follows no redirect and uses no proxy of the environment: both would carry the
// credentials to a place that the configuration does not name.
func newHTTP(o Options, loopbackOnly bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	if loopbackOnly {
		dialer.ControlContext = refuseRemote
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
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
