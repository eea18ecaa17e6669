package enforcement

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// field is a header field of HTTP/2, a pseudo-header or any other.
type field struct{ name, value string }

// stream sends one HTTP/2 request made of any fields, over TLS, and reads its answer. An answer with the status 0 means
// that HAProxy reset the stream or the connection.
func (w *world) stream(fields ...field) (answer, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", w.tlsAddress, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		return answer{}, err
	}
	framer := http2.NewFramer(connection, connection)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}); err != nil {
			return answer{}, err
		}
	}
	if err := framer.WriteSettings(); err != nil {
		return answer{}, err
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return answer{}, err
	}
	return readStream(framer)
}

func readStream(framer *http2.Framer) (answer, error) {
	a := answer{header: http.Header{}}
	for {
		frame, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) {
			return answer{}, nil
		}
		if err != nil {
			return answer{}, fmt.Errorf("read frame: %w", err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, f := range frame.Fields {
				if f.Name == ":status" {
					if _, err := fmt.Sscan(f.Value, &a.status); err != nil {
						return answer{}, err
					}
					continue
				}
				a.header.Add(f.Name, f.Value)
			}
		case *http2.DataFrame:
			a.body = append(a.body, frame.Data()...)
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return answer{}, nil
		}
		if header := frame.Header(); header.StreamID == 1 && header.Flags.Has(http2.FlagDataEndStream) {
			return a, nil
		}
	}
}

// pseudo are the pseudo-headers of an ordinary request.
func pseudo(authority string) []field {
	return []field{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", "/path?q=1"}}
}

func http2Probes() []probe {
	var all []probe
	refused := func(name, why string, f func(*world) []field) {
		name = "http2: " + name
		all = append(all, probe{name, func(w *world) error {
			why := expected(name, why)
			before := w.upstream.count.Load()
			a, err := w.stream(f(w)...)
			if err != nil {
				return err
			}
			if why == defused {
				return checkDefused(a)
			}
			if w.upstream.count.Load() != before {
				return fmt.Errorf("the request reached the service: %s", a.body)
			}
			if why == malformed && (a.status == 0 || a.status == 400) {
				return nil
			}
			return checkRefusal("", a, why)
		}})
	}
	passed := func(name string, f func(*world) []field, want map[string]string) {
		all = append(all, probe{"http2: " + name, func(w *world) error {
			a, err := w.stream(f(w)...)
			if err != nil || a.status != 200 {
				return fmt.Errorf("status %d: %s, %w", a.status, a.body, err)
			}
			var s seen
			if err := json.Unmarshal(a.body, &s); err != nil {
				return err
			}
			if s.Host != host || s.URI != "/path?q=1" {
				return fmt.Errorf("the service saw %q of %q", s.URI, s.Host)
			}
			return errors.Join(s.is(want), s.without(forgedValue))
		}})
	}
	auth := func(w *world) field { return field{"authorization", "Bearer " + w.good()} }
	identity := map[string]string{
		"X-Forwarded-User": tokencorpus.Subject, "X-Forwarded-Proto": "https", "X-Forwarded-Host": host, "Authorization": "", "Cookie": "",
	}
	passed("good", func(w *world) []field { return append(pseudo(host), auth(w)) }, identity)
	passed("host that says the same", func(w *world) []field { return append(pseudo(host), auth(w), field{"host", host}) }, identity)
	passed("host that says something else is not passed on", func(w *world) []field { return append(pseudo(host), auth(w), field{"host", opsHost}) }, identity)
	passed("token in a crumb of the cookie", func(w *world) []field {
		return append(pseudo(host), field{"cookie", "a=b"}, field{"cookie", "clutch_access=" + w.good()}, field{"cookie", "c=d"})
	}, map[string]string{"Cookie": "a=b; c=d", "X-Forwarded-User": tokencorpus.Subject})
	passed("forged headers", func(w *world) []field {
		return append(pseudo(host), auth(w), field{"x-forwarded-user", forgedValue}, field{"x_forwarded_user", forgedValue}, field{"remote-user", forgedValue})
	}, identity)

	refused("no token", "no_token", func(*world) []field { return pseudo(host) })
	refused("unknown authority, our host", "unknown_service", func(w *world) []field {
		return append(pseudo("evil.example"), auth(w), field{"host", host})
	})
	refused("authority of another pool, our host", "bad_aud", func(w *world) []field { return append(pseudo(opsHost), auth(w), field{"host", host}) })
	refused("authority with user", "bad_host", func(w *world) []field { return append(pseudo("evil@"+host), auth(w)) })
	refused("authority with path", "bad_host", func(w *world) []field { return append(pseudo(host+"/x"), auth(w)) })
	refused("authority empty", "bad_host", func(w *world) []field { return append(pseudo(""), auth(w)) })
	refused("two crumbs with a token", "many_credentials", func(w *world) []field {
		return append(pseudo(host), field{"cookie", "clutch_access=" + w.good()}, field{"cookie", "clutch_access=" + w.good()})
	})
	refused("two Authorization fields", "many_credentials", func(w *world) []field { return append(pseudo(host), auth(w), auth(w)) })
	refused("scheme that is an address", malformed, func(w *world) []field {
		return []field{{":method", "GET"}, {":scheme", "https://evil.example/?"}, {":authority", host}, {":path", "/"}, auth(w)}
	})
	refused("another scheme", "bad_target", func(w *world) []field {
		return []field{{":method", "GET"}, {":scheme", "ftp"}, {":authority", host}, {":path", "/"}, auth(w)}
	})
	refused("path without slash", malformed, func(w *world) []field {
		return []field{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "x"}, auth(w)}
	})
	refused("path that is an address", malformed, func(w *world) []field {
		return []field{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "http://" + opsHost + "/"}, auth(w)}
	})
	refused("asterisk", "bad_target", func(w *world) []field {
		return []field{{":method", "OPTIONS"}, {":scheme", "https"}, {":authority", host}, {":path", "*"}, auth(w)}
	})
	refused("CONNECT", "bad_method", func(w *world) []field { return []field{{":method", "CONNECT"}, {":authority", host}, auth(w)} })
	refused("Connection", malformed, func(w *world) []field { return append(pseudo(host), auth(w), field{"connection", "x-forwarded-user"}) })
	refused("Upgrade", malformed, func(w *world) []field { return append(pseudo(host), auth(w), field{"upgrade", "h2c"}) })
	refused("Transfer-Encoding", malformed, func(w *world) []field { return append(pseudo(host), auth(w), field{"transfer-encoding", "chunked"}) })
	refused("a newline in a value", malformed, func(w *world) []field {
		return append(pseudo(host), auth(w), field{"x", "a\r\nx-forwarded-user: root"})
	})
	refused("an upper-case name", malformed, func(w *world) []field { return append(pseudo(host), auth(w), field{"X-Forwarded-User", "root"}) })
	refused("two authorities", malformed, func(w *world) []field { return append(pseudo(host), field{":authority", opsHost}, auth(w)) })
	refused("a pseudo-header of nobody", malformed, func(w *world) []field { return append(pseudo(host), field{":user", "root"}, auth(w)) })
	return all
}
