package main

import (
	"strings"
	"testing"
)

func TestOnlyLoopbackAddressesAreAccepted(t *testing.T) {
	for address, good := range map[string]bool{
		"127.0.0.1:5555":     true,
		"127.9.9.9:0":        true,
		"[::1]:5555":         true,
		"0.0.0.0:5555":       false,
		":5555":              false,
		"[::]:5555":          false,
		"192.0.2.1:5555":     false,
		"localhost:5555":     false,
		"127.0.0.1":          false,
		"127.0.0.1.evil:555": false,
	} {
		if err := checkLoopback(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

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
