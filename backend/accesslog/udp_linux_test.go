package accesslog

import (
	"net"
	"testing"
	"time"
)

// What the system dropped before we could read it is known too, as soon as the next datagram comes.
func TestTheSystemsOwnDropsAreCounted(t *testing.T) {
	connection, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetReadBuffer(1); err != nil { // the system's smallest
		t.Fatal(err)
	}
	c := newUDP(connection)
	sender, err := net.Dial("udp", connection.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	read, dropped := int64(0), int64(0)
	buffer := make([]byte, 2000)
	next := func() {
		t.Helper()
		if err := connection.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, from, more, err := c.read(buffer)
		if err != nil || !from.IsLoopback() {
			t.Fatalf("from %v: %v", from, err)
		}
		read++
		dropped += more
	}
	for sent := int64(1000); sent <= 3000; sent += 1000 {
		before := dropped
		for range 999 {
			send(t, sender, at("G1", "edge-1", 0))
		}
		next() // makes room
		send(t, sender, at("G1", "edge-1", 0))
		for read+dropped < sent {
			next()
		}
		if read+dropped != sent || dropped == before {
			t.Fatalf("%d read and %d dropped, of %d", read, dropped, sent)
		}
	}
}
