package robustness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// apiFaults are those that the double of the API has itself. Calls that are slow, late or carried out after all are the
// link's: they must not be waited for with a node's lock held.
var apiFaults = slices.DeleteFunc(dataplanetest.Faults(), func(f dataplanetest.Fault) bool {
	return slices.Contains([]dataplanetest.Fault{
		dataplanetest.Hang, dataplanetest.Slow, dataplanetest.SlowAnswer, dataplanetest.Late,
	}, f)
})

// newAPI is a Data Plane API of either version.
func newAPI(i int) *dataplanetest.Server {
	var names []string
	for _, m := range allMaps {
		names = append(names, string(m))
	}
	return dataplanetest.NewNode(dataplanetest.Settings{Dialect: []string{"v2", "v3"}[i%2], Maps: names})
}

// client is the node through the client that the product has, which meets the same weather as a model's calls do.
func (l *link) client() haproxy.Adapter {
	o := l.api.Options()
	o.Transport, o.Timeout = wire{l}, callTime
	client, err := dataplane.New(o)
	if err != nil {
		panic(err)
	}
	return haproxy.NewAdapter(client)
}

// wire carries the client's requests to the double. What the double says is said of the model node: its state is put into
// the double before each call, and taken out of it afterwards.
type wire struct{ *link }

// RoundTrip implements http.RoundTripper.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		defer r.Body.Close()
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	m := mapOf(r)
	if m == "" && r.Method != http.MethodGet {
		w.sim.fail("I13: %s %s changes what is no map of ours", r.Method, r.URL)
	}
	word := "other"
	if r.Method == http.MethodPost {
		word = "add"
	}
	began := time.Now()
	var resp *http.Response
	err := w.call(r.Context(), word, r.Method != http.MethodGet, func(bool) error {
		sent := r.Clone(context.Background()) // it may have been given up
		sent.Body = io.NopCloser(bytes.NewReader(body))
		var err error
		w.into(m)
		resp, err = w.api.Transport().RoundTrip(sent)
		w.outOf(m, r, began)
		return err
	})
	if errors.Is(err, errRefused) { // nothing has left
		err = &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// mapOf is the map that a request is about; empty: none.
func mapOf(r *http.Request) desired.Map {
	for _, m := range allMaps {
		if strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, string(m)) {
			return m
		}
	}
	return ""
}

// into puts the node's state into the double. The node is locked.
func (w wire) into(m desired.Map) {
	n := w.node
	for w.api.PID() < n.running.pid {
		w.api.Reload()
	}
	w.api.ResetCalls()
	w.api.SetDown(n.dead)
	w.api.Skew(n.offset)
	w.api.SetStarted(n.running.loaded.Add(n.offset))
	if m == "" {
		return
	}
	w.api.EditFile(string(m), n.files[m])
	w.api.EditMemory(string(m), func([]dataplanetest.Entry) []dataplanetest.Entry {
		var all []dataplanetest.Entry
		for _, r := range n.running.maps[m] {
			all = append(all, dataplanetest.Entry(r))
		}
		return all
	})
}

// outOf takes it out again, and tells the judge what it is told of a model's calls. The node is locked.
func (w wire) outOf(m desired.Map, r *http.Request, began time.Time) {
	n := w.node
	if m == "" {
		return
	}
	before := n.running.maps[m]
	var rows []desired.Row
	for _, e := range w.api.Memory(string(m)) {
		rows = append(rows, desired.Row(e))
	}
	n.running.maps[m] = rows
	if file := w.api.File(string(m)); file != n.files[m] {
		n.files[m] = file
		if m == desired.Leases {
			n.leaseGiven = time.Now()
		}
	}
	for _, row := range rows {
		if !slices.Contains(before, row) {
			w.leased(m, row)
		}
	}
	listed := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "entries")
	if m == desired.Grants && listed && !n.dead {
		n.looked[w.gateway.name] = began
	}
}

// meeting is a call that meets a fault of the double.
func (l *link) meeting(f dataplanetest.Fault, do func(bool) error) func(bool) error {
	return func(half bool) error {
		l.api.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return f })
		defer l.api.SetFault(nil)
		if err := do(half); err != nil {
			return fmt.Errorf("%s: %w", l.node.name, err)
		}
		return nil
	}
}
