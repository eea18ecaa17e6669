package policy

import (
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds what is said about one set of documents.
const maxProblems = 50

// Problem is one thing that is wrong in a document, and where.
type Problem struct {
	File         string
	Line, Column int // from 1
	Text         string
}

// Error is "file:line:column: text".
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Errors are all problems that were found, in the order of files, lines and columns, at most 50.
type Errors []Problem

// Error is one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// position is where something stands in a document. A document's own problems have the zero position's 1:1.
type position struct{ line, column int }

// problems collects; it drops what is more than anybody reads.
type problems struct{ list Errors }

func (p *problems) add(file string, at position, format string, args ...any) {
	if p.full() {
		return
	}
	p.list = append(p.list, Problem{
		File: file, Line: max(at.line, 1), Column: max(at.column, 1), Text: fmt.Sprintf(format, args...),
	})
}

func (p *problems) full() bool { return len(p.list) >= maxProblems }

// err is nil, or Errors.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return p.list
}
