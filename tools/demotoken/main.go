// Command demotoken logs a demo user in through the real OIDC flow, without a browser, and prints Clutch's token:
//
//	demotoken -endpoints .demo/endpoints.json alice@example.com
//
// It is for the header "Authorization: Token ..." of calls to the gateway.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// timeout bounds the whole login.
const timeout = 30 * time.Second

func main() {
	endpoints := flag.String("endpoints", ".demo/endpoints.json", "the running demo's `file`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: demotoken [-endpoints FILE] EMAIL")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, *endpoints, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demotoken:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file, email string, out io.Writer) error {
	endpoints, err := world.ReadEndpoints(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the demo does not run (%w): start it with make demo", err)
	}
	if err != nil {
		return err
	}
	user, err := endpoints.User(email)
	if err != nil {
		return err
	}
	token, err := world.Login(ctx, endpoints.Gateway, user.Email, user.Password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, token)
	return err
}
