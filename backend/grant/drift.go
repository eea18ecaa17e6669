package grant

import "time"

// MaxDriftRows bounds how many rows one Drift names.
const MaxDriftRows = 20

// Drift is what the gateway that writes to a node found in its maps and had not put there: somebody else's deed, with every
// right or with none. It is of one pass or of several.
type Drift struct {
	Node         string
	Environments []string // that the node serves
	// First and Last are when the first and the last of the passes that found some began.
	First, Last time.Time
	// Passes is how many found some, Unrepaired how many of them did not repair it: they failed, or it was a row that no call
	// can remove, which nobody's name matches and the next reload drops.
	Passes, Unrepaired int
	// Rows that somebody had added, changed or taken away, in a running map, in its file, or in both.
	Foreign, Changed, Missing int
	// Files are the maps whose file was another than the one that was written, sorted.
	Files []string
	// Rows name at most MaxDriftRows of them: printable ASCII, a key that is no name of ours in quotes and shortened; never a value.
	Rows []string
}
