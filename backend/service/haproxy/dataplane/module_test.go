//go:build tools

package dataplane_test

// Version 6 of client-native is in go.mod for the specification of /v3 in it, which contract_test.go reads. No code of it
// is used: this import, under a build tag that nobody sets, keeps the requirement.
import _ "github.com/haproxytech/client-native/v6/models"
