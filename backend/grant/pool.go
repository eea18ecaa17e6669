package grant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Pool names an HAProxy backend that access is asked for. Two environments may each have a pool of the same name; they
// have nothing to do with each other.
type Pool struct {
	Environment string // at most 31 of a-z 0-9 . _ -
	Name        string // at most 63 of a-z 0-9 . _ -
}

// ErrPool is wrapped by every error that says why a name is no pool's.
var ErrPool = errors.New("not a pool's name")

var (
	environmentPattern = regexp.MustCompile(`\A[a-z0-9._-]{1,31}\z`)
	poolPattern        = regexp.MustCompile(`\A[a-z0-9._-]{1,63}\z`)
)

// NewPool checks both parts. The error wraps ErrPool.
func NewPool(environment, name string) (Pool, error) {
	if !environmentPattern.MatchString(environment) {
		return Pool{}, fmt.Errorf("%w: an environment has 1 to 31 characters of a-z, 0-9, . _ -", ErrPool)
	}
	if !poolPattern.MatchString(name) {
		return Pool{}, fmt.Errorf("%w: a pool has 1 to 63 characters of a-z, 0-9, . _ -", ErrPool)
	}
	return Pool{Environment: environment, Name: name}, nil
}

// ParsePool reads a full name, <environment>/<pool>. The error wraps ErrPool.
func ParsePool(full string) (Pool, error) {
	environment, name, found := strings.Cut(full, "/")
	if !found {
		return Pool{}, fmt.Errorf("%w: want <environment>/<pool>", ErrPool)
	}
	return NewPool(environment, name)
}

// String is the full name, <environment>/<pool>: a token's aud and a part of a map's key.
func (p Pool) String() string { return p.Environment + "/" + p.Name }
