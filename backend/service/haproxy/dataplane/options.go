package dataplane

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout   = 10 * time.Second
	defaultMaxAnswer = 64 << 20
	maxHeader        = 64 << 10
)

// Options say how one node's Data Plane API is reached. URL must be set, and Username and Password, or else
// ClientCertificate.
//
// Password, ClientCertificate and Roots are asked at every call, and read their files again: a change needs no restart.
// Where one of them fails, what it gave last stays in use, and CredentialError says so. Their errors must not hold a
// secret.
type Options struct {
	// URL is scheme, host and port, as "https://10.0.0.7:5555", without the API's version.
	URL      string
	Username string
	Password func() (string, error) // see FilePassword
	// ClientCertificate is what the client shows of itself over https. It may be in place of Username and Password,
	// which the API 3.x does not ask for then. (The API 2.x answers 401 to everything where it checks certificates.)
	ClientCertificate func() (*tls.Certificate, error) // see FileCertificate
	// AllowPlaintext lets the password go over plain http to an address that is not loopback.
	AllowPlaintext bool
	// Roots are trusted in place of the system's.
	Roots func() (*x509.CertPool, error) // see FileRoots
	// RootCAs is the same for authorities that never change. Not both.
	RootCAs *x509.CertPool
	// Timeout bounds each call to the API, not the sum of several. 10 s if zero.
	Timeout time.Duration
	// BulkTimeout bounds a ReplaceMap, and a commit or raw configuration with its reload. Timeout if zero.
	BulkTimeout time.Duration
	// MaxAnswer bounds an answer's body in bytes. 64 MiB if zero: about 500,000 map entries.
	MaxAnswer int64
	// Now is the gateway's clock. time.Now if nil.
	Now func() time.Time
	// Transport carries the calls in place of connections to URL, for tests. Not with ClientCertificate, Roots or
	// RootCAs, which would have no effect.
	Transport http.RoundTripper
}

// Client speaks to the Data Plane API of one node. Make it with New.
type Client struct {
	base        *url.URL
	username    string
	password    *kept[string] // nil: the certificate says who we are
	wire        *wire
	timeout     time.Duration
	bulkTimeout time.Duration
	maxAnswer   int64
	now         func() time.Time

	dialect atomic.Pointer[dialect] // nil until known
	asking  chan struct{}           // held by who asks for it; a channel, since it is held over calls

	changePause time.Duration // before a change is tried again
	settlePause time.Duration // between two looks at what runs
}

// New returns a client, and calls nothing. Its errors never repeat the URL, which may hold credentials by mistake.
func New(o Options) (*Client, error) {
	base, err := checkURL(o.URL, o.AllowPlaintext)
	if err == nil {
		err = o.check(base)
	}
	if err != nil {
		return nil, fmt.Errorf("data plane api: %w", err)
	}
	c := &Client{
		base: base, username: o.Username, wire: o.wire(base),
		timeout: o.Timeout, bulkTimeout: o.BulkTimeout, maxAnswer: o.MaxAnswer, now: o.Now,
		asking:      make(chan struct{}, 1),
		changePause: 50 * time.Millisecond, settlePause: 100 * time.Millisecond,
	}
	if o.Password != nil {
		c.password = &kept[string]{read: func() (string, error) {
			password, err := o.Password()
			if err == nil && password == "" {
				err = errors.New("it is empty")
			}
			return password, err
		}}
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.bulkTimeout == 0 {
		c.bulkTimeout = c.timeout
	}
	if c.maxAnswer == 0 {
		c.maxAnswer = defaultMaxAnswer
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

func (o Options) check(base *url.URL) error {
	switch {
	case o.Password == nil && (o.ClientCertificate == nil || o.Username != ""):
		return errors.New("no password function")
	case o.Password != nil && (o.Username == "" || strings.ContainsAny(o.Username, ":\r\n\x00")):
		return errors.New("username is empty or has a colon or a control character")
	case o.ClientCertificate != nil && base.Scheme != "https":
		return errors.New("a client certificate needs https")
	case o.Roots != nil && o.RootCAs != nil:
		return errors.New("both roots and root cas")
	case o.Transport != nil && (o.ClientCertificate != nil || o.Roots != nil || o.RootCAs != nil):
		return errors.New("a transport of one's own leaves no place for certificates")
	case o.Timeout < 0 || o.BulkTimeout < 0 || o.MaxAnswer < 0:
		return errors.New("negative timeout or limit")
	}
	return nil
}

func (o Options) wire(base *url.URL) *wire {
	w := &wire{fixed: o.Transport, loopbackOnly: base.Scheme == "http" && !o.AllowPlaintext}
	if o.ClientCertificate != nil {
		w.certificate = &kept[*tls.Certificate]{read: o.ClientCertificate}
	}
	if o.RootCAs != nil {
		o.Roots = func() (*x509.CertPool, error) { return o.RootCAs, nil }
	}
	if o.Roots != nil {
		w.roots = &kept[*x509.CertPool]{read: o.Roots}
	}
	return w
}

// CredentialError says which of password, client certificate and authorities could not be read at the last call, so
// that an older one is in use; nil if none. It holds no secret.
func (c *Client) CredentialError() error {
	var all []error
	add := func(what string, err error) {
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", what, err))
		}
	}
	if c.password != nil {
		add("password", c.password.problem())
	}
	if c.wire.certificate != nil {
		add("client certificate", c.wire.certificate.problem())
	}
	if c.wire.roots != nil {
		add("certificate authorities", c.wire.roots.problem())
	}
	return errors.Join(all...)
}

// Close gives up idle connections. The client may still be used afterwards.
func (c *Client) Close() { c.wire.closeIdle() }

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
