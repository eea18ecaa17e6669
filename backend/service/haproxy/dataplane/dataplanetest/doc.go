// Package dataplanetest is a Data Plane API in memory for tests, together with the HAProxy behind it: it answers as
// the real ones were seen to (2.9.27 for /v2, 3.2 for /v3, both over HAProxy 2.6), their traps included, and fails on
// demand.
//
// # One node in a test
//
//	s := dataplanetest.New(t, "grants.map")       // speaks /v2 over HTTP on loopback
//	s := dataplanetest.Start(t, dataplanetest.Settings{Dialect: "v3", Maps: []string{"grants.map"}})
//	c := s.Client(t)
//
// # Many nodes in a simulation
//
// NewNode makes a node without a socket, a goroutine or a test: Options has a transport in memory, which runs the node
// in the caller's goroutine. Inside a bubble of testing/synctest the package time is the fake clock, and nothing has to
// be set; elsewhere Settings.Now and Settings.Wait are a clock of one's own.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := dataplanetest.NewNode(dataplanetest.Settings{Maps: maps})
//		defer n.Close() // ends what still waits, without its effect
//		client, err := dataplane.New(n.Options())
//		n.SetFault(func(c dataplanetest.Call) dataplanetest.Fault { return faults[rng.IntN(len(faults))] })
//		n.SetDelay(func(dataplanetest.Call) time.Duration { return 12 * time.Second }) // for the fault Slow
//
// The function of SetFault is asked once a call, in the order in which the calls come, so a seeded generator gives the
// same run again; it may call every method of the node. Memory and File are what HAProxy holds and will hold, EditMemory
// and EditFile the hand of a foreigner, Reload and SetDown what happens to HAProxy, Skew its clock. Settings.OnReload
// is handed the maps of a worker that ends, for an old worker that still serves them.
//
// # What it is
//
// Memory and files of the maps are apart, and a reload fills the memory from the files. HAProxy can be down while the
// API is up. Servers come by transactions with versions, or in /v3 at run time, and in maintenance then. The text of
// haproxy.cfg has a place for them, and is laid out as the API does it.
//
// What it leaves out: commands in keys and values (the client sends none), what a real haproxy.cfg means (see
// RefuseConfigurations), TLS, and all routes that the client does not use. The specifications of both versions are held
// against it by the client's contract tests.
//
// It imports the client for its Entry type and Options only; the routes and texts are written apart from the client's.
package dataplanetest
