package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// HAProxy's listings, as 2.6 and 3.0 write them. Names have no spaces: haproxy.cfg does not allow it, and the session
// table's keys are made of checked parts.
var (
	tableHead   = "# table: " + haproxycfg.SessionsTable + ","
	tableRow    = regexp.MustCompile(`\A0x[0-9a-f]+: key=([^ ]+) use=([0-9]+) `)
	sessionRow  = regexp.MustCompile(`\A(0x[0-9a-f]{1,16}): proto=`)
	sessionWho  = regexp.MustCompile(` src=([^ ]+) fe=([^ ]+) be=([^ ]+) `)
	detailFirst = regexp.MustCompile(`\A(0x[0-9a-f]{1,16}): \[[^\]]*\] id=([0-9]+) .*\bsource=([^ ]+)`)
	detailName  = regexp.MustCompile(`\A  (frontend|backend)=([^ ]+) `)
)

// row is a row of the session table that is in use: streams of the subject in the pool run on the connection that comes
// from address.
type row struct{ subject, pool, address string }

// grantKey is the key of the row of grants.map by which the streams were admitted.
func (r row) grantKey() string { return r.subject + "|" + r.pool }

// rows are those in use. A row that cannot be read does not hide the others: it is an error beside them.
func (w worker) rows(ctx context.Context) ([]row, error) {
	var rows []row
	var unread error
	head := false
	err := w.ask(ctx, func(_ int, line string) error {
		if !head {
			if head = strings.HasPrefix(line, tableHead); !head {
				return unexpected("show table", line)
			}
			return nil
		}
		match := tableRow.FindStringSubmatch(line)
		if match == nil {
			unread = unexpected("show table", line)
			return nil
		}
		parts := strings.Split(match[1], "|")
		switch {
		case match[2] == "0":
		case len(parts) != 3:
			unread = unexpected("show table", line)
		default:
			rows = append(rows, row{parts[0], parts[1], parts[2]})
		}
		return nil
	}, command{"show", "table", haproxycfg.SessionsTable})
	if err == nil && !head {
		err = errors.New("read show table: it has no heading")
	}
	if err != nil {
		return nil, err
	}
	return rows, unread
}

// stream is a running stream of our frontend.
type stream struct{ reference, address, backend string }

// streams are those of our frontend. Streams of other frontends are nobody's business here: a client may well come to
// another one from the same address and port.
func (w worker) streams(ctx context.Context) ([]stream, error) {
	var streams []stream
	err := w.ask(ctx, func(_ int, line string) error {
		match := sessionRow.FindStringSubmatch(line)
		if match == nil {
			return unexpected("show sess", line)
		}
		// A stream without src has no client any more.
		if who := sessionWho.FindStringSubmatch(line); who != nil && who[2] == haproxycfg.FrontendName {
			streams = append(streams, stream{match[1], who[1], who[3]})
		}
		return nil
	}, command{"show", "sess"})
	return streams, err
}

// is asks once more who the stream is, and returns its number, which no other stream of the worker has. It is false where
// the reference is another client's by now, or nobody's.
func (w worker) is(ctx context.Context, s stream) (number string, same bool, err error) {
	var now stream
	frontend := ""
	err = w.ask(ctx, func(_ int, line string) error {
		if match := detailFirst.FindStringSubmatch(line); match != nil {
			now.reference, number, now.address = match[1], match[2], match[3]
		}
		if match := detailName.FindStringSubmatch(line); match != nil && match[1] == "frontend" {
			frontend = match[2]
		} else if match != nil {
			now.backend = match[2]
		}
		return nil
	}, command{"show", "sess", s.reference})
	if err != nil {
		return "", false, err
	}
	return number, now == s && frontend == haproxycfg.FrontendName, nil
}

// shutdown ends a stream. It is false where there is none.
func (w worker) shutdown(ctx context.Context, s stream) (bool, error) {
	done := true
	err := w.ask(ctx, func(_ int, line string) error {
		if !strings.HasPrefix(line, "No such session") {
			return unexpected("shutdown session", line)
		}
		done = false
		return nil
	}, command{"shutdown", "session", s.reference})
	return done && err == nil, err
}

// backends are those that pools.map of this worker leads to, by pool.
func (w worker) backends(ctx context.Context, mapsDir string) (map[string]string, error) {
	found := map[string]string{}
	err := w.ask(ctx, func(_ int, line string) error {
		match := mapRow.FindStringSubmatch(line)
		if match == nil {
			return unexpected("show map", line)
		}
		pool, backend, _ := strings.Cut(match[2], " ")
		if _, there := found[pool]; !there { // the first counts
			found[pool] = backend
		}
		return nil
	}, command{"show", "map", fmt.Sprintf("%s/%s", mapsDir, desired.Pools)})
	return found, err
}
