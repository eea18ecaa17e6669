// Command keys looks after the signing keys in the store.
//
//	keys -c clutch-config.yaml init     makes the first key, if there is none; the gateway does the same when it starts
//	keys -c clutch-config.yaml rotate   retires the current key and makes another, after a leak: render HAProxy's
//	                                    configuration again, reload, and start the gateway, which withdraws the old key
//	keys -c clutch-config.yaml list     lists them: kid, algorithm, state, when they were made
//	keys -c clutch-config.yaml public   prints the public keys that HAProxy must have, as PEM
//
// init and rotate open the embedded store for writing, which only one process may: run them while no gateway runs. The private keys
// are never printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/credential"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewaystore"
)

func main() {
	config := flag.String("c", "clutch-config.yaml", "the gateway's configuration")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: keys [-c clutch-config.yaml] init|rotate|list|public")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), *config, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keys:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, command string, out io.Writer) (err error) {
	config, err := gatewayconfig.Read(path)
	if err != nil {
		return err
	}
	mode := gatewaystore.Read
	switch command {
	case "init":
		mode = gatewaystore.Make
	case "rotate":
		mode = gatewaystore.Write
	}
	db, err := gatewaystore.Open(ctx, config, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	switch command {
	case "init":
		return initialize(ctx, db, config.Access.GetToken().GetEncryptionKeyFile(), out)
	case "rotate":
		return rotate(ctx, db, config.Access.GetToken().GetEncryptionKeyFile(), out)
	case "list":
		return list(ctx, db, out)
	case "public":
		return public(ctx, db, out)
	default:
		return fmt.Errorf("no command %q", command)
	}
}

func initialize(ctx context.Context, keys store.Keys, keyFile string, out io.Writer) error {
	sealer, err := credential.SealerFromFile(keyFile)
	if err != nil {
		return err
	}
	kid, made, err := credential.Init(ctx, keys, sealer, time.Now())
	if err != nil {
		return err
	}
	word := "is there"
	if made {
		word = "was made"
	}
	_, err = fmt.Fprintf(out, "signing key %s %s\n", kid, word)
	return err
}

// rotate retires every current key first: if it ends in between, there is none, and init makes one.
func rotate(ctx context.Context, keys store.Keys, keyFile string, out io.Writer) error {
	if _, err := credential.SealerFromFile(keyFile); err != nil {
		return err // before anything is retired
	}
	have, err := keys.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range have {
		if k.State != credential.Current {
			continue
		}
		if err := keys.SetKeyState(ctx, k.KID, credential.Current, credential.Retired); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "signing key %s was retired\n", k.KID); err != nil {
			return err
		}
	}
	return initialize(ctx, keys, keyFile, out)
}

func list(ctx context.Context, keys store.Keys, out io.Writer) error {
	have, err := keys.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range have {
		if _, err := fmt.Fprintf(out, "%s %s %s %s\n", k.KID, k.Alg, k.State, k.Created.Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}

func public(ctx context.Context, keys store.Keys, out io.Writer) error {
	published, err := credential.Published(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range published {
		if _, err := out.Write(k.PEM); err != nil {
			return err
		}
	}
	return nil
}
