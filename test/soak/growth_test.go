package soak

import (
	"fmt"
	"slices"
	"testing"
)

// sample is what a process holds at one time.
type sample struct {
	heap, resident          int // KiB; heap is what is in use after a garbage collection
	goroutines, descriptors int
}

func (s sample) String() string {
	return fmt.Sprintf("heap %d KiB, resident %d KiB, %d goroutines, %d descriptors", s.heap, s.resident, s.goroutines, s.descriptors)
}

// minSamples is how many it takes to tell growth from chance.
const minSamples = 12

// growth compares the second quarter of the samples, when all is warm, with the last, by medians, and says what has grown by
// more than chance and what is kept for a while explain.
func growth(samples []sample) []string {
	if len(samples) < minSamples {
		return []string{fmt.Sprintf("there are %d samples only", len(samples))}
	}
	quarter := len(samples) / 4
	early, late := samples[quarter:2*quarter], samples[len(samples)-quarter:]
	var grown []string
	for _, c := range []struct {
		what   string
		of     func(sample) int
		factor float64
		slack  int
	}{
		{"heap", func(s sample) int { return s.heap }, 1.25, 4 << 10},
		{"resident", func(s sample) int { return s.resident }, 1.3, 32 << 10},
		{"goroutines", func(s sample) int { return s.goroutines }, 1, 15},
		{"descriptors", func(s sample) int { return s.descriptors }, 1, 15},
	} {
		before, after := middle(early, c.of), middle(late, c.of)
		if bound := int(float64(before)*c.factor) + c.slack; after > bound {
			grown = append(grown, fmt.Sprintf("%s grew from %d to %d, more than to %d", c.what, before, after, bound))
		}
	}
	return grown
}

func middle(samples []sample, of func(sample) int) int {
	var all []int
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func TestGrowthIsSeen(t *testing.T) {
	level := sample{heap: 30_000, resident: 90_000, goroutines: 150, descriptors: 60}
	series := func(n int, each func(i int, s *sample)) []sample {
		var all []sample
		for i := range n {
			s := level
			each(i, &s)
			all = append(all, s)
		}
		return all
	}
	for name, c := range map[string]struct {
		samples []sample
		grown   int
	}{
		"level":                 {series(40, func(int, *sample) {}), 0},
		"up and down":           {series(40, func(i int, s *sample) { s.goroutines += i % 7; s.heap += i % 5 * 1000 }), 0},
		"warming":               {series(40, func(i int, s *sample) { s.heap -= max(0, 5-i) * 4000; s.resident -= max(0, 5-i) * 9000 }), 0},
		"goroutines leak":       {series(40, func(i int, s *sample) { s.goroutines += i }), 1},
		"descriptors leak":      {series(40, func(i int, s *sample) { s.descriptors += i }), 1},
		"memory leaks":          {series(40, func(i int, s *sample) { s.heap += i * 1500; s.resident += i * 5000 }), 2},
		"too few to say a word": {series(5, func(int, *sample) {}), 1},
	} {
		if grown := growth(c.samples); len(grown) != c.grown {
			t.Errorf("%s: %q", name, grown)
		}
	}
}
