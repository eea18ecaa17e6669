// Package batch is how every driver of the store commits. Changes of concurrent callers are taken together into one
// transaction, so that many share one wait for the disk. In it each change is judged on its own, against what is stored
// and what the changes before it have done: one that conflicts is left out, and its caller alone gets the error. What
// remains is numbered, chained and handed to the driver in one piece.
//
// The schema holds the same rules once more, whoever writes. What it refuses beyond them fails the whole transaction; the
// batch is then halved until the change that is refused stands alone.
//
// It imports store and grant.
package batch
