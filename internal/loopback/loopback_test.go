package loopback

import "testing"

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
		if err := Check(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}
