// Command devidp is an identity provider for development: OpenID Connect with the authorization code flow, a login page,
// and the users of a file. What it does and leaves out is in the comment of its package provider.
//
//	devidp -listen 127.0.0.1:5556 -client-id clutch -client-secret-file FILE \
//	  -redirect-uri http://127.0.0.1:8080/v1/authn/callback -users users.json
//
// It listens on loopback only, shows all passwords on its login page, and ends on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/haproxy-access/clutch-haproxy-access/internal/loopback"
	"github.com/haproxy-access/clutch-haproxy-access/tools/devidp/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "devidp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	listen, config, err := parse(arguments)
	if err != nil {
		return err
	}
	handler, err := provider.New(config)
	if err != nil {
		return err
	}
	listener, err := loopback.Listen(listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "development identity provider, never for production: %s\n", config.Issuer)
	return loopback.Serve(ctx, listener, handler)
}

func parse(arguments []string) (listen string, config provider.Config, err error) {
	var secretFile, users string
	flags := flag.NewFlagSet("devidp", flag.ContinueOnError)
	flags.StringVar(&listen, "listen", "127.0.0.1:5556", "loopback `address` and port")
	flags.StringVar(&config.Issuer, "issuer", "", "`URL` of the provider (default: http:// and the listen address)")
	flags.StringVar(&config.ClientID, "client-id", "clutch", "`name` of the one client")
	flags.StringVar(&secretFile, "client-secret-file", "", "`file` with the client's secret")
	flags.StringVar(&users, "users", "", "JSON `file`: [{\"email\":..,\"password\":..,\"groups\":[..]}]")
	flags.StringVar(&config.KeyFile, "key-file", "", "`file` that keeps the signing key over a restart (optional)")
	flags.Func("redirect-uri", "`URI` that the client may be sent back to; may be given again", func(uri string) error {
		config.RedirectURIs = append(config.RedirectURIs, uri)
		return nil
	})
	if err := flags.Parse(arguments); err != nil {
		return "", provider.Config{}, err
	}
	if flags.NArg() > 0 {
		return "", provider.Config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if config.Issuer == "" {
		config.Issuer = "http://" + listen
	}
	secret, err := os.ReadFile(secretFile)
	if err != nil {
		return "", provider.Config{}, fmt.Errorf("read client secret: %w", err)
	}
	config.ClientSecret = strings.TrimSpace(string(secret))
	config.Users, err = provider.ReadUsers(users)
	return listen, config, err
}
