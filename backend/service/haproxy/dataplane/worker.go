package dataplane

import (
	"context"
	"net/http"
	"time"

	"github.com/haproxytech/client-native/v5/models"
)

// Worker is the HAProxy process that answers now.
type Worker struct {
	PID     int
	Version string
	// Started is by the node's clock, never before the true start and at most 2 s after it: what is claimed since "it
	// started longer ago than ..." is claimed too late rather than too early. It moves by a second between calls.
	Started time.Time
	Uptime  time.Duration // in whole seconds
}

// startSlack is what the whole seconds of the Date header and of the uptime leave open.
const startSlack = 2 * time.Second

// SameProcess tells whether two observations, in either order, can be of one process, allowing for the whole seconds
// of both. A process identifier alone does not tell: in a container every new worker may get the same.
func (w Worker) SameProcess(other Worker) bool {
	apart := w.Started.Sub(other.Started).Abs()
	return w.PID == other.PID && w.Version == other.Version && apart <= startSlack
}

// Clock lets the caller work out how far the node's clock is from ours: Date was the node's time at some moment
// between Sent and Received, cut to a whole second.
type Clock struct {
	Sent, Received time.Time
	Date           time.Time
}

// Worker reads which HAProxy process runs. Errors: ErrHAProxyDown where the API cannot reach it, ErrMalformed.
func (c *Client) Worker(ctx context.Context) (Worker, Clock, error) {
	const op = "read worker"
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: (*dialect).info, wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return Worker{}, Clock{}, err
	}
	clock := Clock{Sent: a.sent, Received: a.received}
	if clock.Date, err = http.ParseTime(a.date); err != nil {
		return Worker{}, Clock{}, malformed(op, "no Date header")
	}
	processes, err := a.dialect.processes(a.body)
	if err != nil || len(processes) != 1 || processes[0] == nil {
		return Worker{}, Clock{}, malformed(op, "not the information of one process")
	}
	worker, err := asWorker(op, processes[0], clock.Date)
	return worker, clock, err
}

func asWorker(op string, p *models.ProcessInfo, date time.Time) (Worker, error) {
	if p.Error != "" {
		// Its text names the node's socket path, which helps nobody here.
		return Worker{}, &Error{Op: op, Reason: ErrHAProxyDown, Retryable: true}
	}
	if p.Info == nil || p.Info.Pid == nil || *p.Info.Pid <= 0 || p.Info.Uptime == nil || *p.Info.Uptime < 0 {
		return Worker{}, malformed(op, "no process identifier or uptime")
	}
	if p.Info.Stopping != nil && *p.Info.Stopping != 0 {
		return Worker{}, &Error{Op: op, Reason: ErrHAProxyDown, Retryable: true, Message: "the worker that answers is stopping"}
	}
	uptime := time.Duration(*p.Info.Uptime) * time.Second
	return Worker{
		PID:     int(*p.Info.Pid),
		Version: p.Info.Version,
		Started: date.Add(startSlack - uptime),
		Uptime:  uptime,
	}, nil
}
