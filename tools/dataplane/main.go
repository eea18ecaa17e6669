// Command dataplane is the built-in data plane: a small server that speaks the
// part of the HAProxy Data Plane API /v2 that this project uses, and drives a
// real HAProxy. It is for trying and testing, not for production; there the real
// Data Plane API belongs. What it does and leaves out is in the comment of its
// package server.
//
//	dataplane -listen 127.0.0.1:5555 -username admin -password-file FILE \
//	  -haproxy-config haproxy.cfg -runtime-socket /run/haproxy.sock \
//	  -maps-dir maps -reload-cmd 'kill -USR2 $(cat haproxy.pid)'
//
// It listens on loopback only, since basic auth over plain HTTP is not fit for
// a network, and ends on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/internal/loopback"
	"github.com/haproxy-access/clutch-haproxy-access/tools/dataplane/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dataplane:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, arguments []string) error {
	listen, config, err := parse(arguments)
	if err != nil {
		return err
	}
	listener, err := loopback.Listen(listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	api, err := server.New(config)
	if err != nil {
		return err
	}
	defer api.Close()
	fmt.Fprintf(os.Stderr, "test data plane, for trying and testing, not for production: http://%s/v2\n", listener.Addr())
	return loopback.Serve(ctx, listener, api)
}

func parse(arguments []string) (listen string, config server.Config, err error) {
	flags := flag.NewFlagSet("dataplane", flag.ContinueOnError)
	var passwordFile string
	flags.StringVar(&listen, "listen", "127.0.0.1:5555", "loopback `address` and port")
	flags.StringVar(&config.Username, "username", "", "`name` of the one account")
	flags.StringVar(&passwordFile, "password-file", "", "`file` with its password")
	flags.StringVar(&config.HAProxyConfig, "haproxy-config", "", "haproxy.cfg, a `file` that is read and changed")
	flags.StringVar(&config.HAProxyBin, "haproxy-bin", "", "haproxy `program` that validates it (default: looked up)")
	flags.StringVar(&config.RuntimeSocket, "runtime-socket", "", "`path` of HAProxy's stats socket, level admin")
	flags.StringVar(&config.MapsDir, "maps-dir", "", "`directory` of the map files")
	flags.StringVar(&config.GeneralDir, "general-dir", "", "`directory` of other files that haproxy.cfg names (default: general beside it)")
	flags.StringVar(&config.ReloadCommand, "reload-cmd", "", "shell `command` that makes HAProxy reload")
	flags.StringVar(&config.MasterSocket, "master-socket", "", "`path` of the master's socket, only read to learn how a reload ended (optional)")
	flags.DurationVar(&config.ReloadDelay, "reload-delay", 5*time.Second, "how long a reload that is not forced waits for others")
	if err := flags.Parse(arguments); err != nil {
		return "", server.Config{}, err
	}
	if flags.NArg() > 0 {
		return "", server.Config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := loopback.Check(listen); err != nil {
		return "", server.Config{}, err
	}
	config.Log = os.Stderr
	config, err = complete(config, passwordFile)
	return listen, config, err
}

// complete reads the password, finds HAProxy and makes the paths absolute: a
// map is known to HAProxy by the path in its configuration.
func complete(config server.Config, passwordFile string) (server.Config, error) {
	if passwordFile == "" {
		return config, errors.New("-password-file is required")
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return config, fmt.Errorf("read password file: %w", err)
	}
	config.Password = strings.TrimRight(string(password), "\r\n")
	if config.HAProxyBin == "" {
		if config.HAProxyBin, err = haproxyproc.Find(); err != nil {
			return config, err
		}
	}
	for _, path := range []*string{&config.HAProxyConfig, &config.RuntimeSocket, &config.MapsDir, &config.GeneralDir, &config.MasterSocket} {
		if *path == "" {
			continue // an absent one that is required is refused by the server
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return config, fmt.Errorf("resolve path: %w", err)
		}
	}
	return config, nil
}
