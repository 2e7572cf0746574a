package command

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

func TestALongStepSaysALineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := newScreen(&out)
		s.begin("limits of the machine")
		time.Sleep(3500 * time.Millisecond)
		s.show(bench.Progress{System: "duelog", Workload: "recover", Phase: "restart"})
		time.Sleep(2 * time.Second)
		s.done(&bench.Result{System: "duelog", Workload: "recover"})
		time.Sleep(10 * time.Second)
		s.close()
		s.close()
		require.Equal(t, []string{
			"limits of the machine",
			"limits of the machine (1 s)", "limits of the machine (2 s)", "limits of the machine (3 s)",
			"duelog recover: restart (0 s)", "duelog recover: restart (1 s)",
			"duelog recover: done",
		}, strings.Split(strings.TrimSpace(out.String()), "\n"))
	})
}

func TestWhatIsShownOftenIsSaidOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := newScreen(&out)
		for i := range 25 {
			s.show(bench.Progress{System: "a", Workload: "fire", Phase: "wait", Done: int64(i / 10), Total: 3, Unit: "s"})
			time.Sleep(110 * time.Millisecond)
		}
		s.close()
		require.Equal(t, 3, strings.Count(out.String(), "\n"), out.String())
		require.Contains(t, out.String(), "a fire: wait 1/3 s")
	})
}

func TestARateIsKnownAfterAWhile(t *testing.T) {
	p := bench.Progress{Done: 3_000_000, Total: 4_000_000}
	require.Empty(t, rate(p, time.Nanosecond))
	require.Equal(t, ", 1,500,000/s", rate(p, 2*time.Second))
	p.Unit = "s"
	require.Empty(t, rate(p, 2*time.Second))
}

func TestABarIsDrawnAgainWhileNothingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &watched{}
		size := func() int {
			out.mu.Lock()
			defer out.mu.Unlock()
			return out.b.Len()
		}
		s := newScreen(out)
		s.mu.Lock()
		s.terminal = true
		s.mu.Unlock()
		s.begin("limits of the machine")
		time.Sleep(1500 * time.Millisecond)
		first := size()
		time.Sleep(time.Second)
		require.Greater(t, size(), first)
		s.close()
	})
}
