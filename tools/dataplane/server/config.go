package server

import (
	"errors"
	"io"
	"path/filepath"
	"time"
)

// Config says which HAProxy the server drives. All but the fields marked as
// optional are required.
type Config struct {
	// Username and Password are the one account (HTTP basic auth).
	Username, Password string
	// HAProxyConfig is the haproxy.cfg that is read, changed and validated.
	HAProxyConfig string
	// HAProxyBin validates a configuration before it takes effect.
	HAProxyBin string
	// RuntimeSocket is the worker's stats socket, with level admin.
	RuntimeSocket string
	// MapsDir holds the map files.
	MapsDir string
	// ReloadCommand is run by sh -c and makes HAProxy reload.
	ReloadCommand string

	// MasterSocket (optional) is asked, read-only, whether a reload is done or
	// has failed. Without it a failed reload is known only by a time-out.
	MasterSocket string
	// GeneralDir (optional) holds other files that the configuration names: keys
	// and pages. Empty is a directory beside HAProxyConfig.
	GeneralDir string
	// TransactionDir (optional) keeps open transactions over a restart; empty
	// is a directory beside HAProxyConfig.
	TransactionDir string
	// ReloadDelay (optional) is how long a reload that was not forced waits for
	// others to join it; zero is the real program's 5 s.
	ReloadDelay time.Duration
	// ReloadTimeout (optional) bounds one reload; zero is 15 s.
	ReloadTimeout time.Duration
	// Log (optional) gets failed reloads and caught panics. No credential and no
	// request body is written to it.
	Log io.Writer
}

func (c Config) withDefaults() (Config, error) {
	for _, required := range []struct{ name, value string }{
		{"username", c.Username},
		{"password", c.Password},
		{"haproxy configuration", c.HAProxyConfig},
		{"haproxy program", c.HAProxyBin},
		{"runtime socket", c.RuntimeSocket},
		{"maps directory", c.MapsDir},
		{"reload command", c.ReloadCommand},
	} {
		if required.value == "" {
			return Config{}, errors.New("check data plane settings: no " + required.name)
		}
	}
	if c.TransactionDir == "" {
		c.TransactionDir = filepath.Join(filepath.Dir(c.HAProxyConfig), "transactions")
	}
	if c.GeneralDir == "" {
		c.GeneralDir = filepath.Join(filepath.Dir(c.HAProxyConfig), "general")
	}
	if c.ReloadDelay == 0 {
		c.ReloadDelay = 5 * time.Second
	}
	if c.ReloadTimeout == 0 {
		c.ReloadTimeout = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c, nil
}
