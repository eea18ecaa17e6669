package haproxyproc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The answers are HAProxy 2.6.12's own, but for the last four.
func TestShowProcIsReadAsHAProxyWritesIt(t *testing.T) {
	const header = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
	for name, c := range map[string]struct {
		answer string
		want   ProcTable
		bad    bool
	}{
		"started": {
			answer: header + "14370           master          0 [failed: 0]   0d00h00m01s     2.6.12-1+deb12u4\n# workers\n14373           worker          0               0d00h00m01s     2.6.12-1+deb12u4\n# programs\n\n",
			want:   ProcTable{Master: 14370, Workers: []int{14373}},
		},
		"old worker and failed reload": {
			answer: header + "14370           master          3 [failed: 1]   0d00h00m03s     2.6.12-1+deb12u4\n# workers\n14393           worker          1               0d00h00m01s     2.6.12-1+deb12u4\n# old workers\n14381           worker          2               0d00h00m02s     2.6.12-1+deb12u4\n# programs\n\n",
			want:   ProcTable{Master: 14370, Reloads: 3, Failed: 1, Workers: []int{14393}, OldWorkers: []int{14381}},
		},
		"a program is no worker": {
			answer: header + "7 master 0 [failed: 0] 0d 2.6\n# workers\n8 worker 0 0d 2.6\n# programs\n9 sleeper 0 0d -\n",
			want:   ProcTable{Master: 7, Workers: []int{8}},
		},
		"empty":       {answer: "", bad: true},
		"no number":   {answer: header + "x master 0 [failed: 0] 0d 2.6\n", bad: true},
		"worker text": {answer: header + "7 master 0 [failed: 0] 0d 2.6\n# workers\nUnknown command\n", bad: true},
	} {
		got, err := parseShowProc(c.answer)
		if (err != nil) != c.bad {
			t.Errorf("%s: error %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
