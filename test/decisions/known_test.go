package decisions

// Faults of the code that are still there: the last two were found by these tests, the first two by reading. While one is named here, cases that meet it are
// not drawn, or not compared: everything else can be tested meanwhile. Who mends one sets it to false, and then removes it.
const (
	// An extension that answers no questions is judged afterwards with the answers of the request: a rule that was passed over
	// for the want of them decides then, and may end the grant with nothing changed.
	faultExtensionInputs = true
	// An extension in the very millisecond of the activation is judged afterwards as if it were none.
	faultExtensionAtOnce = true
	// What was given by a rule because an earlier one had no room (max_concurrent) is ended at the next look.
	faultRoomForgotten = true
	// A request for a window is invalid when it is repeated with its key after the window's beginning.
	faultWindowAgain = true
)
