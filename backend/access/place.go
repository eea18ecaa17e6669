package access

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// Where a policy's files lie on the server is nothing that callers need: they are shown the files' own names. Logs and the
// tools have whole paths.

// absolute is the folders of an absolute path, at the beginning of a word.
var absolute = regexp.MustCompile(`(^|[\s(])/(?:[^\s:/]+/)*`)

// withoutFolders takes the folders of these files, and of any absolute path, out of a text.
func withoutFolders(text string, files []string) string {
	for _, f := range files {
		if dir, name := filepath.Split(f); dir != "" {
			text = strings.ReplaceAll(text, f, name)
		}
	}
	return absolute.ReplaceAllString(text, "$1")
}

// shownFindings are findings with the names of files in place of their paths. Reasons name places in the rule's own file.
func shownFindings(findings []policy.Finding) []policy.Finding {
	all := make([]policy.Finding, len(findings))
	for i, f := range findings {
		path := f.File
		if line := strings.LastIndexByte(path, ':'); line >= 0 {
			path = path[:line]
		}
		all[i] = f
		all[i].File = filepath.Base(f.File)
		all[i].Reasons = nil
		for _, reason := range f.Reasons {
			if dir, name := filepath.Split(path); dir != "" {
				reason = strings.ReplaceAll(reason, path+":", name+":")
			}
			all[i].Reasons = append(all[i].Reasons, reason)
		}
	}
	return all
}

// shown is the status with the names of files in place of their paths.
func (p PolicyStatus) shown() PolicyStatus {
	files := p.Files
	p.Files = nil
	for _, f := range files {
		p.Files = append(p.Files, filepath.Base(f))
	}
	p.Error = withoutFolders(p.Error, files)
	return p
}
