// Command demo builds and runs the small world of package world in one directory, prints where everything is and a
// walk-through, and stops all of it on Ctrl-C. It is what "make demo" starts, from the root of the repository.
//
// Settings come from the environment, so that they can be given to make: DEMO_DIR, DEMO_GATEWAY_PORT, DEMO_HAPROXY_PORT and
// DEMO_DATAPLANE_PORT (each the first of three), DEMO_ISSUER_PORT, DEMO_SERVICE_PORT (the first of six), DATAPLANE_BIN.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

const (
	binDir = ".build/bin"
	// parentInterval is how often it is looked whether make is still there.
	parentInterval = 500 * time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Without make nobody would read what is printed, and Ctrl-C would not come: a kill of make ends the demo.
	go watchParent(ctx, os.Getppid(), cancel)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// watchParent calls end when the process has another parent than at its start.
func watchParent(ctx context.Context, parent int, end func()) {
	ticker := time.NewTicker(parentInterval)
	defer ticker.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	end()
}

func run(ctx context.Context, out io.Writer) error {
	options, err := fromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	start := time.Now()
	options.Progress = func(line string) {
		fmt.Fprintf(out, "%4.0fs  %s ...\n", time.Since(start).Seconds(), line)
	}
	if err := build(ctx, options.Progress); err != nil {
		return ended(ctx, err)
	}
	w, err := world.Start(ctx, options)
	if err != nil {
		return ended(ctx, err)
	}
	fmt.Fprint(out, describe(w.Endpoints(), options))
	err = wait(ctx, w)
	fmt.Fprintln(out, "stopping ...")
	return errors.Join(err, w.Stop())
}

// ended is err, but nothing where Ctrl-C caused it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func build(ctx context.Context, progress func(string)) error {
	for _, name := range append([]string{"demotoken"}, world.Programs...) {
		what := "building " + name
		if name == "gateway" {
			what = "building the gateway (the first time: 3 to 5 minutes)"
		}
		progress(what)
		if err := world.Build(ctx, binDir, name); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when ctx ends, or with an error when a program of the world ends by itself.
func wait(ctx context.Context, w *world.World) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := w.Components()
	ended := make(chan error, len(all))
	for _, program := range all {
		go func() {
			select {
			case <-ctx.Done():
				ended <- nil
			case <-program.Exited():
				ended <- fmt.Errorf("%s ended: see %s", program.Name(), w.LogFile(program.Name()))
			}
		}()
	}
	return <-ended
}

func fromEnvironment(getenv func(string) string) (world.Options, error) {
	options := world.Options{Dir: getenv("DEMO_DIR"), BinDir: binDir, Ports: world.DefaultPorts(), DataPlaneBin: getenv("DATAPLANE_BIN")}
	if options.Dir == "" {
		options.Dir = ".demo"
	}
	for _, setting := range []struct {
		name string
		port *int
	}{
		{"DEMO_GATEWAY_PORT", &options.Ports.Gateway},
		{"DEMO_HAPROXY_PORT", &options.Ports.HAProxy},
		{"DEMO_DATAPLANE_PORT", &options.Ports.DataPlane},
		{"DEMO_ISSUER_PORT", &options.Ports.Issuer},
		{"DEMO_SERVICE_PORT", &options.Ports.Services},
	} {
		value := getenv(setting.name)
		if value == "" {
			continue
		}
		port, err := strconv.Atoi(value)
		if err != nil || port < 1 || port > 65535 {
			return world.Options{}, fmt.Errorf("%s is %q, want a port", setting.name, value)
		}
		*setting.port = port
	}
	return options, nil
}
