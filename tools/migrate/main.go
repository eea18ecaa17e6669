// Command migrate brings the schema of a gateway's store up to date. It is run before a new version of the gateway is
// rolled out: every migration works with the gateways of the version before it running.
//
//	migrate -c clutch-config.yaml status         which version the store has, and which this program knows
//	migrate -c clutch-config.yaml up [-to N]     migrates, wholly or not at all
//	migrate -c clutch-config.yaml sql            prints the statements that up would run, for who runs them by hand
//	migrate -c clutch-config.yaml verify [-at REVISION:HASH]
//	                                             walks the whole log of events, checks its hash chain, and holds columns, rows and
//	                                             the sinks' positions to it; -at is a mark that was noted elsewhere
//
// The embedded store migrates itself when its gateway starts; a store in Postgres is migrated by this program alone. status
// ends with 1 if the store must be migrated.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewaystore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: migrate -c FILE status | up [-to N] | sql | verify [-at REVISION:HASH]")

func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	path := flags.String("c", "", "the gateway's configuration `file`")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *path == "" || flags.NArg() == 0 {
		return errUsage
	}
	command, rest := flags.Arg(0), flags.Args()[1:]
	own := flag.NewFlagSet(command, flag.ContinueOnError)
	own.SetOutput(io.Discard) // the error says it
	to := newest
	var noted store.Mark
	switch command {
	case "up":
		own.Func("to", "migrate to this `version` and no further (default: the newest)", func(text string) (err error) {
			if to, err = strconv.Atoi(text); err == nil && to < 1 {
				err = errors.New("a version is 1 or more")
			}
			return err
		})
	case "verify":
		own.Func("at", "the `mark` that was noted of the log, REVISION:HASH", func(text string) (err error) {
			noted, err = store.ParseMark(text)
			return err
		})
	}
	if err := own.Parse(rest); err != nil {
		return err
	}
	rest = own.Args()
	if len(rest) > 0 {
		return errUsage
	}
	config, err := gatewayconfig.Read(*path)
	if err != nil {
		return err
	}
	if command == "verify" {
		return verify(ctx, config, noted, out)
	}
	schema, err := gatewaystore.OpenSchema(config)
	if err != nil {
		return err
	}
	return errors.Join(migrate(ctx, schema, command, to, out), schema.Close())
}

// newest stands for the newest version where none is named.
const newest = 0

func migrate(ctx context.Context, schema gatewaystore.Schema, command string, to int, out io.Writer) error {
	have, err := schema.Version(ctx)
	if err != nil {
		return err
	}
	known := schema.Known()
	switch command {
	case "status":
		if _, err := fmt.Fprintf(out, "the store has version %d, this program knows %d\n", have.Number, known); err != nil {
			return err
		}
		return have.Check(known)
	case "up":
		if to == newest {
			to = known
		}
		if to < have.Number || to > known {
			return fmt.Errorf("to: want %d to %d; a schema is never taken back", have.Number, known)
		}
		if err := schema.Migrate(ctx, to); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "the store has version %d, it had %d\n", to, have.Number)
		return err
	case "sql":
		text, err := schema.Script(have.Number)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	default:
		return errUsage
	}
}

// verify reads beside a running gateway.
func verify(ctx context.Context, config gatewayconfig.Config, noted store.Mark, out io.Writer) (err error) {
	db, err := gatewaystore.Open(ctx, config, gatewaystore.Read)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	last, err := store.Verify(ctx, db, noted)
	if err != nil {
		return err
	}
	held := "What it cannot show: that everything from some point on was made anew, or that its end was taken away with all that names it.\n" +
		"Who may write to the database can do that. Hold it to a mark that was noted elsewhere: -at REVISION:HASH."
	if noted.Revision > 0 {
		held = fmt.Sprintf("Up to revision %d it is as it was when that mark was noted. Nothing shows that all after it was not made anew.", noted.Revision)
	}
	_, err = fmt.Fprintf(out, "the log verifies up to revision %d, and columns, rows and positions agree with it\n%s\nThe mark to note outside of this database:\n%s\n",
		last.Revision, held, last)
	return err
}
