package decisions

// Faults of the code that these tests have found and that are still there. While one is named here, cases that meet it are
// not drawn, or not compared: everything else can be tested meanwhile. Who mends one sets it to false, and then removes it.
const (
	// An extension is judged afterwards by the reason and the inputs of the request, not by its own: a grant that was made
	// longer because of them is ended at the next look, with nothing changed.
	faultExtensionReason = true
	// An extension in the very millisecond of the activation is judged afterwards as if it were none.
	faultExtensionAtOnce = true
	// What was given by a rule because an earlier one had no room (max_concurrent) is ended at the next look.
	faultRoomForgotten = true
	// Where an agent's access ends, group_lost and policy_changed are taken for each other.
	faultAgentCause = true
	// An approval is refused after the same vote was written down in another order.
	faultVoteOrder = true
	// A request for a window is invalid when it is repeated with its key after the window's beginning.
	faultWindowAgain = true
	// What waits for its window is judged by the time of the look where a condition asks for the time of asking (now).
	faultWindowNow = true
)
