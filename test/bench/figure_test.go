package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// figure is one thing that was measured; a line of .bench/fleet.jsonl.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Against is what the value is compared with, and Ratio how often it goes into the value; 0 for nothing.
	Against string  `json:"against"`
	Ratio   float64 `json:"ratio"`
	// Goal is empty where there is none, and Met says nothing then.
	Goal string `json:"goal"`
	Met  bool   `json:"met"`
}

// report collects figures.
type report struct {
	t   *testing.T
	all []figure
}

// add adds a value without a goal.
func (r *report) add(name string, value float64, unit string) {
	r.all = append(r.all, figure{Name: name, Value: value, Unit: unit})
}

// atMost adds a value that has a bound of the same unit.
func (r *report) atMost(name string, value float64, unit string, bound float64) {
	r.all = append(r.all, figure{Name: name, Value: value, Unit: unit, Goal: fmt.Sprintf("<= %.0f %s", bound, unit), Met: value <= bound})
}

// times adds a value whose goal is a multiple of another that was measured in the same run; a multiple of 0 is no goal.
func (r *report) times(name string, value float64, unit, against string, base, multiple float64) {
	f := figure{Name: name, Value: value, Unit: unit, Against: fmt.Sprintf("%s: %.1f %s", against, base, unit), Ratio: value / base}
	if multiple > 0 {
		f.Goal, f.Met = fmt.Sprintf("<= %.1f times", multiple), f.Ratio <= multiple
	}
	r.all = append(r.all, f)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is the value below which that part of the sample lies.
func quantile(sample []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(sample []float64) float64 { return quantile(sample, 0.5) }

// machine names what the figures were measured on.
func machine(t *testing.T) string {
	t.Helper()
	model := runtime.GOARCH
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	output, err := exec.Command(haproxyProgram(t), "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(string(output), " - ")
	return fmt.Sprintf("%d cores, %s, %s, %s", runtime.NumCPU(), model, version, runtime.Version())
}

// table is the report as text.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-52s %10s %-8s %6s  %-14s %-4s %s\n", "figure", "value", "unit", "ratio", "goal", "met", "against")
	for _, f := range r.all {
		ratio, met := "", ""
		if f.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", f.Ratio)
		}
		if f.Goal != "" {
			met = map[bool]string{true: "yes", false: "NO"}[f.Met]
		}
		fmt.Fprintf(&b, "%-52s %10.1f %-8s %6s  %-14s %-4s %s\n", f.Name, f.Value, f.Unit, ratio, f.Goal, met, f.Against)
	}
	return b.String()
}

// write writes the lines to a file.
func (r *report) write(path string) {
	r.t.Helper()
	var lines []byte
	for _, f := range r.all {
		line, err := json.Marshal(f)
		if err != nil {
			r.t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, lines, 0o644); err != nil {
		r.t.Fatal(err)
	}
}
