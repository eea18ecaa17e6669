package decisions

// Faults of the code that are still there: the second was found by these tests, the first by reading. While one is named
// here, cases that meet it are not drawn, or not compared: everything else can be tested meanwhile. Who mends one sets it to
// false, and then removes it.
const (
	// An extension in the very millisecond of the activation is judged afterwards as if it were none.
	faultExtensionAtOnce = true
	// What was given by a rule because an earlier one had no room (max_concurrent) is ended at the next look.
	faultRoomForgotten = true
)
