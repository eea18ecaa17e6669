package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The states of processes that matter here, as in the third field of /proc/PID/stat.
const (
	stateZombie  = "Z"
	stateStopped = "T"
)

// startTime is the 22nd field of /proc/PID/stat.
func startTime(pid int) (string, error) {
	fields, err := afterName(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	const fieldsAfterName = 22 - 2
	if len(fields) < fieldsAfterName {
		return "", fmt.Errorf("read start time: /proc/%d/stat has too few fields", pid)
	}
	return fields[fieldsAfterName-1], nil
}

func processState(pid int) (string, error) {
	fields, err := afterName(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	return fields[0], nil
}

// standsStill reports whether every thread of a process is stopped by a signal.
func standsStill(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false, errors.Join(fmt.Errorf("look at threads of %d: %w", pid, errEnded), err)
	}
	for _, thread := range threads {
		fields, err := afterName(thread)
		if err != nil || fields[0] != stateStopped {
			return false, nil // a thread that has just ended is found out by the next look
		}
	}
	return true, nil
}

// afterName are the fields of a /proc/*/stat from the third on; there is one at least. The second one, the program's name, may
// have spaces and brackets.
func afterName(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read process state: %w", err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) == 0 {
		return nil, fmt.Errorf("read process state: %s has too few fields", path)
	}
	return fields, nil
}
