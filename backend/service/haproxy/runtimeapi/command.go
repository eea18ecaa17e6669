package runtimeapi

import (
	"fmt"
	"regexp"
	"strings"
)

// What may be sent: the alphabet of map keys and paths, a worker's prefix, and the reference of a map's row. A space parts
// words; a newline, a semicolon or "<<" would begin another command.
var (
	plainWord     = regexp.MustCompile(`\A[A-Za-z0-9._:@+|/-]{1,256}\z`)
	workerWord    = regexp.MustCompile(`\A@![0-9]{1,10}\z`)
	referenceWord = regexp.MustCompile(`\A#0x[0-9a-f]{1,16}\z`)
)

// maxBatch is how many commands stand in one line at most: HAProxy reads a line of 16 kB.
const maxBatch = 50

// command is one command of the runtime API, word by word.
type command []string

// line is what goes over the wire for commands that are answered one after the other. It is the only place where bytes
// for a socket are made.
func line(commands []command) (string, error) {
	if len(commands) == 0 || len(commands) > maxBatch {
		return "", fmt.Errorf("write command: %d commands in a line", len(commands))
	}
	texts := make([]string, len(commands))
	for i, c := range commands {
		if len(c) == 0 {
			return "", fmt.Errorf("write command: it is empty")
		}
		for j, word := range c {
			if !plainWord.MatchString(word) && !(j == 0 && workerWord.MatchString(word)) && !(j > 0 && referenceWord.MatchString(word)) {
				return "", fmt.Errorf("write command: %.100q must not be sent", word)
			}
		}
		texts[i] = strings.Join(c, " ")
	}
	return strings.Join(texts, ";") + "\n", nil
}
