package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

func TestDuelogStandsBesideTheBestOther(t *testing.T) {
	result := func(system, mode, mix string, rate, cpu float64) bench.Result {
		return bench.Result{
			System: system, Workload: "send", Params: map[string]any{"mix": mix, "mode": mode, "publishers": 2, "window": 1000, "batch": 0},
			Metrics: map[string]float64{"send_per_s": rate, "cpu_us_per_msg": cpu},
		}
	}
	f := &bench.File{Results: []bench.Result{
		result("duelog", "durable", "30min", 300, 2),
		result("redis", "durable", "30min", 200, 5),
		result("nats", "durable", "30min", 10, 4),
		result("redis", "stock", "30min", 900, 1),
		result("embedded", "durable", "30min", 1000, 1),
		result("duelog", "durable", "year", 300, 2),
	}}
	s := besideSection(bench.Repetitions(f))
	require.Equal(t, [][]string{
		{"send 30min, 2x1000", "sent/s", "300", "200", "redis", "1.50"},
		{"send 30min, 2x1000", "CPU us", "2.00", "4.00", "nats", "2.00"},
	}, s.rows)
}
