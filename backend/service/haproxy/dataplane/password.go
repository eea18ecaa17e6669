package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const maxPassword = 4096

// FilePassword returns a function for Options.Password that reads the password from a file at every call. The file
// is read each time because no time stamp tells reliably that it has changed, and reading it costs less than a call.
// It may hold one trailing newline; an empty file, one of several lines, or one above 4 KiB is an error.
func FilePassword(path string) func() (string, error) {
	return func() (string, error) {
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("open password file: %w", err)
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
		if err != nil {
			return "", fmt.Errorf("read password file: %w", err)
		}
		if len(text) > maxPassword {
			return "", errors.New("read password file: it is larger than 4 KiB")
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
