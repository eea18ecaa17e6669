package dataplane

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
)

// MaxLength is the most bytes that a key or a value may have.
//
// The longest key of ours has 224: a subject of 128, "|", an environment of 31, "/", and a pool of 63. 256 leaves room
// for a key file's path as a value, and stays far below the line length of HAProxy's runtime socket.
const MaxLength = 256

// alphabet holds the only bytes that may stand in a key or a value. It leaves out whatever the runtime socket or the
// Data Plane API takes as syntax: white space, newline, ; # " < > & * $ { } = , % and the backslash.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+|/-"

// allowed is the alphabet by byte: a map's file is checked before each write, of which there is one a node and change.
var allowed = func() (in [256]bool) {
	for i := range len(alphabet) {
		in[alphabet[i]] = true
	}
	return in
}()

var (
	// The API rewrites other map names in silence ("a.b.map" becomes "a_b.map", another map), so they are refused here.
	mapNamePattern = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,64}\.map\z`)
	backendPattern = regexp.MustCompile(`\A[A-Za-z0-9._:-]{1,127}\z`)
	serverPattern  = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,63}\z`)
	// The API keeps a file under another name where the name has more than one dot ("idp.k1.pem" becomes "idp_k1.pem"), and
	// finds it by both: such names are refused.
	storedPattern = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,200}\.[A-Za-z0-9]{1,16}\z`)
	// A transaction's id comes from the node and goes into a path.
	transactionPattern = regexp.MustCompile(`\A[A-Za-z0-9-]{1,64}\z`)
)

// InvalidError says that an argument was refused before any call. It never repeats the argument, which may be hostile.
// errors.Is(err, ErrInvalid) holds for it.
type InvalidError struct {
	Field string // "key", "value", "map", "file", "backend", "server", "address", "port"
	Why   string
}

func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Why }

// Is makes every InvalidError equal to ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// CheckEntry returns an *InvalidError unless the entry may be sent to a node.
func CheckEntry(e Entry) error {
	if err := CheckKey(e.Key); err != nil {
		return err
	}
	return checkText("value", e.Value)
}

// CheckKey returns an *InvalidError unless the key may be sent to a node.
func CheckKey(key string) error {
	return checkKey(key)
}

func checkKey[T string | []byte](key T) error {
	if err := checkText("key", key); err != nil {
		return err
	}
	if len(key) > len("..") {
		return nil
	}
	return checkSegment("key", string(key))
}

func checkText[T string | []byte](field string, text T) error {
	if len(text) == 0 {
		// An entry with an empty value makes every later list of its map answer 500.
		return &InvalidError{Field: field, Why: "it is empty"}
	}
	if len(text) > MaxLength {
		return &InvalidError{Field: field, Why: fmt.Sprintf("%d bytes are more than %d", len(text), MaxLength)}
	}
	for i := range len(text) {
		if !allowed[text[i]] {
			return &InvalidError{Field: field, Why: fmt.Sprintf("byte 0x%02x at %d is outside [A-Za-z0-9._:@+|/-]", text[i], i)}
		}
	}
	return nil
}

// checkSegment refuses what a server or a proxy takes as a step in the path, however it is escaped.
func checkSegment(field, text string) error {
	if text == "." || text == ".." {
		return &InvalidError{Field: field, Why: "it is a dot segment"}
	}
	return nil
}

func checkMapName(name string) error {
	return checkPattern("map", name, mapNamePattern)
}

func checkStoredName(name string) error {
	return checkPattern("file", name, storedPattern)
}

func checkBackend(name string) error {
	return checkPattern("backend", name, backendPattern)
}

func checkServerName(name string) error {
	return checkPattern("server", name, serverPattern)
}

func checkPattern(field, text string, pattern *regexp.Regexp) error {
	if !pattern.MatchString(text) {
		return &InvalidError{Field: field, Why: "it does not match " + pattern.String()}
	}
	return checkSegment(field, text)
}

// checkServer wants an IP address, so that HAProxy resolves nothing when it reloads.
func checkServer(s Server) error {
	if err := checkServerName(s.Name); err != nil {
		return err
	}
	address, err := netip.ParseAddr(s.Address)
	if err != nil || address.Zone() != "" {
		return &InvalidError{Field: "address", Why: "it is not an IP address"}
	}
	if s.Port < 1 || s.Port > 65535 {
		return &InvalidError{Field: "port", Why: "it is not between 1 and 65535"}
	}
	return nil
}

// checkFile wants a map file of nothing but lines "key value\n": HAProxy reads the file at its next reload, and what
// must not be sent to its socket must not come in by the disk either.
func checkFile(text []byte) error {
	for number := 1; len(text) > 0; number++ {
		line, after, ended := bytes.Cut(text, []byte("\n"))
		if !ended {
			return &InvalidError{Field: "file", Why: "its last line has no end"}
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		err := checkKey(key)
		if err == nil {
			err = checkText("value", value)
		}
		if err != nil {
			return &InvalidError{Field: "file", Why: fmt.Sprintf("line %d: %v", number, err)}
		}
		text = after
	}
	return nil
}
