// Command demoservice stands for the services behind HAProxy in the demo and the tests: it shows what reaches it. One
// process serves any number of them:
//
//	demoservice -serve staging/billing=127.0.0.1:9101 -serve prod/billing=127.0.0.1:9102
//
// It listens on loopback only, believes its headers as a service behind HAProxy may, and ends on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/haproxy-access/clutch-haproxy-access/internal/loopback"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demoservice:", err)
		os.Exit(1)
	}
}

// service is one of those that the process serves.
type service struct{ name, address string }

func parse(arguments []string) (services []service, err error) {
	flags := flag.NewFlagSet("demoservice", flag.ContinueOnError)
	flags.Func("serve", "`NAME=ADDRESS` of a service; may be given again", func(value string) error {
		name, address, ok := strings.Cut(value, "=")
		if !ok || name == "" {
			return errors.New("want NAME=ADDRESS")
		}
		services = append(services, service{name, address})
		return loopback.Check(address)
	})
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if len(services) == 0 {
		return nil, errors.New("there is no -serve")
	}
	return services, nil
}

// run serves until ctx ends or one of the services fails, which ends all of them.
func run(ctx context.Context, arguments []string) error {
	services, err := parse(arguments)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listeners := make([]net.Listener, len(services))
	for i, s := range services {
		if listeners[i], err = loopback.Listen(s.address); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	ended := make(chan error, len(services))
	for i, s := range services {
		go func() { ended <- loopback.Serve(ctx, listeners[i], handler(s.name)) }()
	}
	var all error
	for range services {
		all = errors.Join(all, <-ended)
		cancel()
	}
	return all
}
