// Package secretfile reads files that hold one secret, and refuses those that others than their owner can get at. It imports
// nothing but the standard library.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxSize is far above every key and password.
const maxSize = 4 << 10

var (
	// ErrTooLarge means that the file is larger than 4 KiB, and so no secret of ours.
	ErrTooLarge = errors.New("it is larger than 4 KiB")
	// ErrExposed means that others than the file's owner may read or write it.
	ErrExposed = errors.New("others may read or write it")
)

// Read returns what is in the file, 4 KiB at most. The rule for its mode is PostgreSQL's for keys: nobody but the owner may
// read or write it; where root owns it, its group may read it too. That is how a program that is not root gets a secret
// that root hands out: Kubernetes with fsGroup, or root:clutch with mode 0640. Links are followed, since Kubernetes makes
// secrets of links; the file behind them counts. Errors name the path, and nothing of what is in the file.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat() // the opened file: nobody exchanges it between the look and the reading
	if err != nil {
		return nil, err
	}
	if err := check(info.Mode(), ownedByRoot(info)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%s: %w", path, ErrTooLarge)
	}
	return text, nil
}

func check(mode fs.FileMode, ofRoot bool) error {
	const groupReads = 0o040
	exposed := mode.Perm() & 0o077
	switch {
	case exposed == 0 || ofRoot && exposed == groupReads:
		return nil
	case ofRoot:
		return fmt.Errorf("%w: its mode is %04o: chmod 0400 it, or 0440 for its group to read it", ErrExposed, mode.Perm())
	default:
		return fmt.Errorf("%w: its mode is %04o: chmod 0400 it", ErrExposed, mode.Perm())
	}
}

func ownedByRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}
