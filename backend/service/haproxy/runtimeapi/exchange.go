package runtimeapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	// maxLine and maxAnswer bound what is read: a row of a table or a map has some 400 bytes, and there may be 100,000.
	maxLine   = 64 << 10
	maxAnswer = 128 << 20
)

// errCut means that the other side ended before the answer did.
var errCut = errors.New("the answer is not whole")

// socket is an address that takes commands.
type socket struct {
	network, address string
	timeout          time.Duration
}

// parseSocket reads "unix:/path" or "tcp:host:port".
func parseSocket(text string, timeout time.Duration) (socket, error) {
	network, address, _ := strings.Cut(text, ":")
	switch network {
	case "unix":
		if !strings.HasPrefix(address, "/") {
			return socket{}, fmt.Errorf("parse socket: %q has no absolute path", text)
		}
	case "tcp":
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return socket{}, fmt.Errorf("parse socket: %q has no host:port", text)
		}
	default:
		return socket{}, fmt.Errorf("parse socket: %q begins with neither unix: nor tcp:", text)
	}
	return socket{network, address, timeout}, nil
}

// ask sends commands on a connection of their own and hands each line of their answers to read, with the command's
// index. It returns nil only if every answer was whole. An error of read ends it.
func (s socket) ask(ctx context.Context, read func(i int, line string) error, commands ...command) (err error) {
	text, err := line(commands)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask haproxy: %w", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
	if err != nil {
		return err
	}
	defer connection.Close()
	// The end of ctx, by its deadline or before, ends whatever is waited for.
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	if _, err := io.WriteString(connection, text); err != nil {
		return errors.Join(err, ctx.Err())
	}
	if err := readAnswers(connection, read, len(commands)); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// readAnswers reads n answers. Each ends with an empty line, and has none within.
func readAnswers(from io.Reader, read func(i int, line string) error, n int) error {
	lines := bufio.NewReaderSize(io.LimitReader(from, maxAnswer), maxLine)
	for i := 0; i < n; {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			if strings.HasPrefix(string(text), noWorkerText) {
				return errNoWorker
			}
			return errCut
		}
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		line := strings.TrimSuffix(string(text), "\n")
		if strings.HasPrefix(line, noWorkerText) {
			return errNoWorker
		}
		if line == "" {
			i++
			continue
		}
		if err := read(i, line); err != nil {
			return err
		}
	}
	return nil
}

// unexpected is the error of an answer that is not one to the question, for example that the socket's level is too low.
func unexpected(what, line string) error { return fmt.Errorf("read %s: unexpected %.100q", what, line) }
