package soak

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Main(m)) }

// I15: a gateway that grants, revokes, issues tokens and looks after nodes that reload does not grow.
func TestI15GatewayDoesNotGrow(t *testing.T) {
	length := 20 * time.Second
	if os.Getenv("NIGHTLY") != "" {
		length = 10 * time.Minute
	}
	s := stage.Start(t, world.Options{Profiling: true})
	samples, cycles, reloads := []sample{}, 0, 0
	for begin, looked := time.Now(), time.Now(); time.Since(begin) < length; cycles++ {
		cycle(s, cycles)
		if cycles%10 == 9 {
			n := s.Nodes[reloads%len(s.Nodes)]
			require.NoError(t, n.HAProxy.Reload(t.Context()))
			reloads++
		}
		if time.Since(looked) > length/60 {
			looked = time.Now()
			samples = append(samples, look(s))
		}
	}
	require.NotEmpty(t, samples)
	t.Logf("%d grants that were opened, used and revoked, %d reloads, %d samples\nfirst: %s\nlast:  %s", cycles, reloads, len(samples), samples[0], samples[len(samples)-1])
	require.Greater(t, reloads, 0)
	for _, grown := range growth(samples) {
		t.Error(grown)
	}
}

// cycle opens a grant, uses it, and ends it.
func cycle(s *stage.Stage, i int) {
	who := []string{stage.Alice, stage.Bob}[i%2]
	g, token := s.Open(who, "staging", "billing", 10*time.Minute)
	stage.Eventually(s.T, "it is admitted", func() bool {
		a, err := s.TryVisit(http.DefaultClient, stage.StagingBilling, token)
		return err == nil && a.Status == http.StatusOK
	})
	s.Revoke(who, g)
	stage.Eventually(s.T, "it is refused", func() bool {
		a, err := s.TryVisit(http.DefaultClient, stage.StagingBilling, token)
		return err == nil && a.Status == http.StatusForbidden
	})
}

// inUse is what Go's heap profile says of memory after the collection that it is asked for.
var inUse = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// look reads what the gateway holds, after a garbage collection.
func look(s *stage.Stage) sample {
	s.T.Helper()
	heap := inUse.FindStringSubmatch(profile(s, "heap?gc=1&debug=1"))
	require.NotNil(s.T, heap)
	total := regexp.MustCompile(`^goroutine profile: total (\d+)`).FindStringSubmatch(profile(s, "goroutine?debug=1"))
	require.NotNil(s.T, total)
	process := fmt.Sprintf("/proc/%d/", s.Gateways[0].PID())
	descriptors, err := os.ReadDir(process + "fd")
	require.NoError(s.T, err)
	status, err := os.ReadFile(process + "status")
	require.NoError(s.T, err)
	resident := regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`).FindStringSubmatch(string(status))
	require.NotNil(s.T, resident)
	return sample{heap: number(s, heap[1]) >> 10, resident: number(s, resident[1]), goroutines: number(s, total[1]), descriptors: len(descriptors)}
}

func number(s *stage.Stage, text string) int {
	s.T.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(s.T, err)
	return n
}

func profile(s *stage.Stage, what string) string {
	s.T.Helper()
	response, err := http.Get(s.API + "/debug/pprof/" + what)
	require.NoError(s.T, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(s.T, http.StatusOK, response.StatusCode)
	var text strings.Builder
	_, err = io.Copy(&text, response.Body)
	require.NoError(s.T, err)
	return text.String()
}
