// Package accesslog receives HAProxy's access log and keeps, for each grant and node, when it was used first and last, how
// often, and how often it was refused after its end. It keeps sums, not requests.
//
// It is a record alone. A line is believed for what it is, a datagram that anybody in the allowed networks may have
// written: nothing that is read here opens or closes anything, and datagrams get lost. Whatever is not counted as a use is
// counted as what became of it, and told to the Observer.
//
// It may import the standard library, backend/grant and go-syslog, which parses the frame of a line.
package accesslog
