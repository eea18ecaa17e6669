package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// diffTimeout bounds the whole comparison.
const diffTimeout = time.Minute

// errDiffers: the node has something else than what is rendered.
var errDiffers = errors.New("the node's haproxy.cfg differs")

// diffError: whether it differs is not known, or HAProxy refuses what would be put there.
type diffError struct{ err error }

func (e *diffError) Error() string { return "diff: " + e.err.Error() }
func (e *diffError) Unwrap() error { return e.err }

// diff prints in what our sections of a node's haproxy.cfg differ from those that are rendered. It changes nothing.
func diff(o options, config gatewayconfig.Config, stdout io.Writer) error {
	text, err := preview(o, config)
	if _, written := io.WriteString(stdout, text); written != nil && err == nil {
		err = written
	}
	switch {
	case err != nil:
		return &diffError{err}
	case text != "":
		return errDiffers
	}
	return nil
}

func preview(o options, config gatewayconfig.Config) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), diffTimeout)
	defer cancel()
	in, err := input(o, config)
	if err != nil {
		return "", err
	}
	// Of this node alone: passwords of others need not be readable here.
	only := proto.Clone(config.Fleet).(*haproxyv1.Config)
	only.Nodes = slices.DeleteFunc(only.Nodes, func(n *haproxyv1.Node) bool { return n.GetName() != o.diff })
	fleet, err := haproxy.NewService(only)
	if err != nil {
		return "", err
	}
	node := fleet.ConfigNode(o.diff)
	if node == nil {
		return "", fmt.Errorf("there is no node %q in %s; those that are found by a discovery are not known here", o.diff, o.config)
	}
	part, err := haproxy.ConfigPart(in, o.diff)
	if err != nil {
		return "", err
	}
	return nodeconfig.Preview(ctx, node, part, o.validate)
}
