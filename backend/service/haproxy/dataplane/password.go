package dataplane

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/internal/secretfile"
)

// FilePassword returns a function for Options.Password that reads the password from a file at every call. The file
// is read each time because no time stamp tells reliably that it has changed, and reading it costs less than a call.
// It may hold one trailing newline; an empty file, one of several lines, one above 4 KiB, or one that others may read or
// write (secretfile.Read says which) is an error.
func FilePassword(path string) func() (string, error) {
	return func() (string, error) {
		text, err := secretfile.Read(path)
		if err != nil {
			return "", fmt.Errorf("read password file: %w", err)
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if len(text) == 0 {
			return "", errors.New("read password file: it is empty")
		}
		if bytes.ContainsAny(text, "\x00\r\n") {
			return "", errors.New("read password file: it has more than one line")
		}
		return string(text), nil
	}
}
