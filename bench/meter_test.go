package bench

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessesOfASystemAreToldApart(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nothing can be read here")
	}
	start := func(script string) int {
		cmd := exec.Command("sh", "-c", script)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd.Process.Pid
	}
	m := meter{place: Children, pids: []int{start("while :; do :; done"), start("exec sleep 600")}, names: []string{"busy", "idle"}}
	before := m.read()
	require.True(t, before.ok)
	var iv interval
	require.Eventually(t, func() bool {
		iv = m.since(before)
		return iv.roots["busy"] > iv.roots["idle"]+20*time.Millisecond
	}, time.Minute, time.Millisecond)
	r := Result{Params: map[string]any{}, Metrics: map[string]float64{}}
	iv.addTo(&r, 1)
	require.Greater(t, r.Metrics["busy_cpu_us_per_msg"], r.Metrics["idle_cpu_us_per_msg"])
	require.GreaterOrEqual(t, r.Metrics["cpu_us_per_msg"], 20_000.0)
}
