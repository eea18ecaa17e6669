// Package credential issues the tokens that open a grant's way, and keeps the keys that sign them. A token is a JWT
// access token (RFC 9068) that HAProxy verifies by itself; it is worth nothing without the grant's row on the node.
//
// It imports grant, store (for the keys' rows, of which it is the only writer), and secretfile.
package credential
