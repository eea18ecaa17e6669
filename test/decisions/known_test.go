package decisions

// Faults of the code that are still there, which were found by reading. While one is named here, cases that meet it are not drawn, or not compared: everything else can be tested meanwhile. Who mends one sets it to
// false, and then removes it.
const (
	// An extension in the very millisecond of the activation is judged afterwards as if it were none.
	faultExtensionAtOnce = true
)
