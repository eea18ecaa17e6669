package desired

// Changes lead from what a map holds to what it must hold. They are carried out in the order of the fields: what closes
// comes before what opens.
type Changes struct {
	Remove []string // keys that must not be there, or are there more than once
	Set    []Row    // keys whose value is another
	Add    []Row    // keys that are missing, once Remove is done
	// Stuck are foreign keys that nobody can remove: what they are made of cannot be sent to the runtime API. The next reload
	// drops them. Until then no subject, pool or host can match one, since those have the safe alphabet only; a token's kid
	// can, but leads to no other key than those that HAProxy has loaded, which are the published ones.
	Stuck []string
}

// Empty reports whether there is nothing to do.
func (c Changes) Empty() bool { return len(c.Remove)+len(c.Set)+len(c.Add) == 0 }

// Len is the number of calls.
func (c Changes) Len() int { return len(c.Remove) + len(c.Set) + len(c.Add) }

// Diff compares the rows of a running map, in HAProxy's order, with what it must hold. A running map can hold a key more
// than once (the first counts, and a set changes only some): such a key is removed wholly and added again.
func Diff(want Table, have []Row) Changes { return diff(want, want.Rows(), have) }

// diff is Diff; sorted are the rows of want.
func diff(want Table, sorted, have []Row) Changes {
	count := make(map[string]int, len(have))
	value := make(map[string]string, len(have))
	for _, r := range have {
		if count[r.Key]++; count[r.Key] == 1 {
			value[r.Key] = r.Value
		}
	}
	var c Changes
	for _, r := range have {
		_, wanted := want[r.Key]
		if n := count[r.Key]; n > 0 && (!wanted || n > 1) {
			if !CanSend(r.Key) {
				c.Stuck, count[r.Key] = append(c.Stuck, r.Key), 0
				continue
			}
			c.Remove = append(c.Remove, r.Key)
			count[r.Key] = 0 // once
		}
	}
	for _, r := range sorted {
		switch {
		case count[r.Key] == 0:
			c.Add = append(c.Add, r)
		case value[r.Key] != r.Value:
			c.Set = append(c.Set, r)
		}
	}
	return c
}

// merge is Diff of two lists that are sorted by key and hold each key once, all of which can be sent.
func merge(want, have []Row) (c Changes) {
	for len(want) > 0 || len(have) > 0 {
		switch {
		case len(want) == 0 || len(have) > 0 && have[0].Key < want[0].Key:
			c.Remove, have = append(c.Remove, have[0].Key), have[1:]
		case len(have) == 0 || want[0].Key < have[0].Key:
			c.Add, want = append(c.Add, want[0]), want[1:]
		default:
			if want[0].Value != have[0].Value {
				c.Set = append(c.Set, want[0])
			}
			want, have = want[1:], have[1:]
		}
	}
	return c
}
