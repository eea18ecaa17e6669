// Command haproxycfg renders what HAProxy enforces by, from the gateway's own configuration.
//
//	haproxycfg -c clutch-config.yaml                   prints the part that stands in a node's haproxy.cfg
//	haproxycfg -c clutch-config.yaml --files DIR       writes that part, and the maps, keys and pages, for copying to a node
//	haproxycfg -c clutch-config.yaml --standalone DIR  writes all that an HAProxy of its own starts with
//	haproxycfg --check haproxy.cfg                     says what a haproxy.cfg names and is not there
//	haproxycfg -c clutch-config.yaml --diff NODE       says in what a node's haproxy.cfg differs, and changes nothing
//
// --diff reads the node's haproxy.cfg through its Data Plane API, as the configuration says how to reach it, and prints a
// unified diff of our sections alone. The exit status is 0 if there is no difference, 1 if there is one, 2 if that could
// not be found out. With --validate HAProxy on the node checks what manage_config would put there; the files that
// are named must be there already.
//
// With --files the parts lie in DIR: access.cfg, maps/, keys/ and pages/; the paths in them are those that the
// configuration names. docs/install.md says how they get onto a node.
//
// A standalone set lies in DIR: haproxy.cfg, maps/, keys/ and pages/, whatever directories the configuration names. The
// gateway writes the key files' paths into kids.map, so keys_dir in its configuration must be DIR/keys before it looks
// after such a node; the command warns if it is not. maps/grants.map and leases.map are made empty, which admits nobody;
// those that are there already are kept, since their rows are the gateway's. Everything else is written anew.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(status(err, os.Stderr))
	}
}

// status is the exit status of an error, which is said unless it is only that there is a difference.
func status(err error, stderr io.Writer) int {
	var failed *diffError
	switch {
	case errors.Is(err, errDiffers):
		return 1
	case errors.As(err, &failed):
		fmt.Fprintln(stderr, "haproxycfg:", err)
		return 2
	}
	fmt.Fprintln(stderr, "haproxycfg:", err)
	return 1
}

// options are the command line.
type options struct {
	config, node, files, standalone, publicKey, check, diff string
	force, validate                                         bool
}

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("haproxycfg", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.config, "c", "clutch-config.yaml", "the gateway's configuration")
	flags.StringVar(&o.node, "node", "", "render only what this node serves; everything if empty")
	flags.StringVar(&o.files, "files", "", "write sections, maps, keys and pages for a node into this `directory`")
	flags.StringVar(&o.standalone, "standalone", "", "write a complete set into this `directory`")
	flags.StringVar(&o.publicKey, "public-key", "", "a PEM `file` with our public key, in place of the store's keys")
	flags.StringVar(&o.check, "check", "", "check all files that this haproxy.cfg `file` names, and do nothing else")
	flags.BoolVar(&o.force, "force", false, "empty grants.map and leases.map in the directory that have rows")
	flags.StringVar(&o.diff, "diff", "", "compare with the haproxy.cfg of this `node`, and do nothing else")
	flags.BoolVar(&o.validate, "validate", false, "with --diff: let HAProxy on the node check what would be put there")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.files != "" && o.standalone != "" {
		return options{}, errors.New("--files and --standalone are for two kinds of nodes")
	}
	if o.force && o.standalone == "" && o.files == "" {
		return options{}, errors.New("--force is for --standalone and --files")
	}
	if o.check != "" && (o.standalone != "" || o.files != "" || o.node != "" || o.publicKey != "") {
		return options{}, errors.New("--check goes with no other option")
	}
	if o.diff != "" && (o.standalone != "" || o.files != "" || o.node != "" || o.check != "") {
		return options{}, errors.New("--diff goes with --public-key and --validate alone")
	}
	if o.validate && o.diff == "" {
		return options{}, errors.New("--validate is for --diff")
	}
	return o, nil
}

func run(args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.check != "" {
		return preflight(o.check)
	}
	config, err := gatewayconfig.Read(o.config)
	if err != nil {
		return err
	}
	if o.diff != "" {
		return diff(o, config, stdout)
	}
	in, err := input(o, config)
	if err != nil {
		return err
	}
	if o.standalone != "" {
		return writeStandalone(o, in, stdout, stderr)
	}
	if o.files != "" {
		return writeNodeFiles(o, in, stdout)
	}
	in.Standalone = nil
	files, err := haproxycfg.Render(in)
	if err != nil {
		return err
	}
	_, err = stdout.Write(files.Enforcement)
	return err
}

func input(o options, config gatewayconfig.Config) (haproxycfg.Input, error) {
	source := storeKeys(config)
	if o.publicKey != "" {
		source = fileKey(o.publicKey)
	}
	keys, err := source()
	if err != nil {
		return haproxycfg.Input{}, err
	}
	foreign, err := providerKeys(config.Fleet)
	if err != nil {
		return haproxycfg.Input{}, err
	}
	in, err := haproxycfg.FromConfig(config.Fleet, config.Access, append(keys, foreign...))
	if err != nil || o.node == "" {
		return in, err
	}
	in, ok := in.ForNode(o.node)
	if !ok {
		return in, fmt.Errorf("there is no node %q in %s", o.node, o.config)
	}
	return in, nil
}
