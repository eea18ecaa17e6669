package main

import (
	"strings"
	"testing"
)

func TestANonLoopbackListenAddressStopsTheStart(t *testing.T) {
	err := run(t.Context(), []string{"-listen", "0.0.0.0:0", "-username", "u"})
	if err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Fatalf("run: %v", err)
	}
}

func TestMissingSettingsAreNamed(t *testing.T) {
	err := run(t.Context(), []string{"-listen", "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "-password-file") {
		t.Fatalf("run: %v", err)
	}
}
