package dataplane

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const maxPEM = 1 << 20

// FileCertificate returns a function for Options.ClientCertificate that reads a certificate, with what stands between
// it and its authority, and its key from two PEM files, at every call; it parses them again only when their bytes have
// changed. The two may be one file. An error names the file and holds nothing of what is in it.
func FileCertificate(certificateFile, keyFile string) func() (*tls.Certificate, error) {
	parsed := onChange[*tls.Certificate]{}
	return func() (*tls.Certificate, error) {
		certificate, err := readFile("client certificate", certificateFile)
		if err != nil {
			return nil, err
		}
		key, err := readFile("client key", keyFile)
		if err != nil {
			return nil, err
		}
		return parsed.of([][]byte{certificate, key}, func() (*tls.Certificate, error) {
			pair, err := tls.X509KeyPair(certificate, key)
			if err != nil {
				// Go's text tells of the kinds of PEM blocks and the like, which a file that was mixed up may fill.
				return nil, errors.New("read client certificate and key: they are not a pair in PEM")
			}
			return &pair, nil
		})
	}
}

// FileRoots returns a function for Options.Roots that reads certificates of authorities from a PEM file, at every call;
// it parses them again only when its bytes have changed.
func FileRoots(path string) func() (*x509.CertPool, error) {
	parsed := onChange[*x509.CertPool]{}
	return func() (*x509.CertPool, error) {
		text, err := readFile("ca", path)
		if err != nil {
			return nil, err
		}
		return parsed.of([][]byte{text}, func() (*x509.CertPool, error) {
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(text) {
				return nil, errors.New("read ca file: no certificate in it")
			}
			return pool, nil
		})
	}
}

func readFile(what, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s file: %w", what, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("read %s file: %w", what, err)
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("read %s file: it is larger than 1 MiB", what)
	}
	return text, nil
}

// onChange remembers what was made of the last bytes, so that what is made of the same is the same pointer.
type onChange[T any] struct {
	mu    sync.Mutex
	from  [][]byte
	value T
}

func (o *onChange[T]) of(from [][]byte, parse func() (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.from) == len(from) {
		same := true
		for i := range from {
			same = same && bytes.Equal(o.from[i], from[i])
		}
		if same {
			return o.value, nil
		}
	}
	value, err := parse()
	if err == nil {
		o.from, o.value = from, value
	}
	return value, err
}
