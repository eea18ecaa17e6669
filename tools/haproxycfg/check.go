package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// largestPage is what fits into HAProxy's buffer beside the headers.
const largestPage = 12 << 10

// reference is a kind of file that a line of haproxy.cfg names.
type reference struct {
	pattern *regexp.Regexp // its first group is the path
	check   func(text []byte) error
}

// What stands between quotes or ends at a space, a comma or a bracket.
const word = `["']?([^"' ,)]+)`

var references = []reference{
	{regexp.MustCompile(`map_[a-z]+\(` + word), checkMap},
	{regexp.MustCompile(`jwt_verify\("[A-Z0-9]+",["']([^"']+)["']\)`), haproxycfg.CheckPEM},
	{regexp.MustCompile(`\blf-file ` + word), checkPage},
	{regexp.MustCompile(`\bcrt ` + word), checkCertificate},
}

// hardStop is the global setting without which a removal is never enforced in old workers where the lease is off.
var hardStop = regexp.MustCompile(`(?m)^[ \t]+hard-stop-after[ \t]+[0-9]`)

// adminSocket is where the Data Plane API writes the maps. Without it no grant ever gets in force, and nobody is told why.
var adminSocket = regexp.MustCompile(`(?m)^[ \t]+stats[ \t]+socket[ \t].*[ \t]level[ \t]+admin\b`)

// preflight checks every file that a haproxy.cfg names. HAProxy itself says nothing about a key that is not there, and
// refuses all tokens then.
func preflight(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var problems []error
	checked, keys := map[string]bool{}, map[string]bool{}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, r := range references {
			for _, match := range r.pattern.FindAllStringSubmatch(line, -1) {
				file := match[1]
				if strings.Contains(match[0], "jwt_verify") {
					keys[file] = true
				}
				if checked[file] {
					continue
				}
				checked[file] = true
				if err := checkFile(file, r.check); err != nil {
					problems = append(problems, fmt.Errorf("line %d: %w", i+1, err))
				}
			}
		}
	}
	if len(checked) == 0 {
		problems = append(problems, errors.New("it names no map, key or page: this is no configuration with the enforcement part"))
	}
	if !hardStop.Match(text) {
		problems = append(problems, errors.New("global has no hard-stop-after: an old worker would never end, and admit by its frozen map"))
	}
	if !adminSocket.Match(text) {
		problems = append(problems, errors.New("global has no stats socket with level admin: the Data Plane API could not write the maps"))
	}
	if err := errors.Join(append(problems, checkKIDs(checked, keys)...)...); err != nil {
		return fmt.Errorf("check %s: %w", config, err)
	}
	return nil
}

func checkFile(file string, check func([]byte) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := check(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// checkMap wants whole rows, each key once: of two HAProxy takes the first, and a last line without newline was cut.
func checkMap(text []byte) error {
	table, _ := desired.Parse(text)
	rows := 0
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			rows++
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return errors.New("its last line has no end")
	}
	if rows != len(table) {
		return errors.New("it has the same key twice")
	}
	return desired.NewSheet(table).Check()
}

// checkKIDs compares kids.map with the keys that HAProxy loads: those that the configuration names.
func checkKIDs(files, keys map[string]bool) []error {
	var problems []error
	for file := range files {
		if filepath.Base(file) != string(desired.KIDs) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue // reported already
		}
		table, _ := desired.Parse(text)
		for _, row := range table.Rows() {
			if !keys[row.Value] {
				problems = append(problems, fmt.Errorf("%s: %s is not loaded: render the configuration again", file, row.Value))
			}
		}
	}
	return problems
}

func checkPage(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("it is empty")
	}
	if len(text) > largestPage {
		return fmt.Errorf("it has more than %d bytes", largestPage)
	}
	return nil
}

func checkCertificate(text []byte) error {
	if _, err := tls.X509KeyPair(text, text); err != nil {
		return fmt.Errorf("want a certificate and its key: %w", err)
	}
	return nil
}
