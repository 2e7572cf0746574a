package tools

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const metricsPage = `# HELP x y
# TYPE duelog_lateness_seconds histogram
duelog_lateness_seconds_bucket{le="0"} 5
duelog_lateness_seconds_bucket{le="0.001"} 95
duelog_lateness_seconds_bucket{le="+Inf"} 100
duelog_lateness_seconds_bucket{le="0.1"} 99
duelog_lateness_seconds_sum 1.5
rocketmq_messages_in_total{cluster="a }\" ,",topic="t"} 3
rocketmq_messages_in_total{cluster="a",topic="u"} 4 1795413600000

plain 1e3
nothing NaN
`

func TestMetricsAreRead(t *testing.T) {
	m, err := parseMetrics(strings.NewReader(metricsPage))
	require.NoError(t, err)
	require.EqualValues(t, 7, m.sum("rocketmq_messages_in_total"))
	require.EqualValues(t, 1000, m.sum("plain"))
	require.Zero(t, m.sum("none"))
	b := m.buckets("duelog_lateness_seconds")
	require.Equal(t, []bucket{{0, 5}, {0.001, 95}, {0.1, 99}, {math.Inf(1), 100}}, b)
	for _, bad := range []string{"x", "x{a=\"b\" 1", "x y", "{} 1"} {
		_, err := parseMetrics(strings.NewReader(bad))
		require.ErrorContains(t, err, "line 1 of the metrics", bad)
	}
}

func TestQuantilesAreUpperBounds(t *testing.T) {
	m, err := parseMetrics(strings.NewReader(metricsPage))
	require.NoError(t, err)
	b := m.buckets("duelog_lateness_seconds")
	for _, x := range []struct{ q, want float64 }{{0, 0}, {0.05, 0}, {0.5, 0.001}, {0.95, 0.001}, {0.99, 0.1}, {1, math.Inf(1)}} {
		got, ok := quantile(b, x.q)
		require.True(t, ok)
		require.Equal(t, x.want, got, "%v", x.q)
	}
	_, ok := quantile(since(b, b), 0.5)
	require.False(t, ok, "nothing was observed in between")
	_, ok = quantile(nil, 0.5)
	require.False(t, ok)
	require.Equal(t, b, since(nil, b))
	restarted := []bucket{{0, 1}, {0.001, 1}, {0.1, 1}, {math.Inf(1), 1}}
	require.Equal(t, restarted, since(b, restarted), "a counter that went back counts from 0")
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte(metricsPage))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m, err := parseMetrics(strings.NewReader(string(b))); err == nil {
			list := m.buckets("duelog_lateness_seconds")
			quantile(since(list, list), 0.5)
		}
	})
}

func TestThePictureOfTopShowsEverythingOnOneScreen(t *testing.T) {
	var out strings.Builder
	e := newEnv(Process{Out: &out})
	p := &picture{e: e}
	p.put(&view{at: testNow, in: 1, fired: 2, out: 3, p50: time.Millisecond, p99: time.Second, worst: "more", pending: 7, full: true, next: []int64{0, 4, 2}})
	require.NoError(t, p.close())
	text := out.String()
	for _, want := range []string{"pending          7", "p50 <= 1ms", "p99 <= 1s", "all <= more", "the disk is full", "  +1 s          4  " + strings.Repeat("#", 50), "  +2 s          2  " + strings.Repeat("#", 25) + "\x1b"} {
		require.Contains(t, text, want)
	}
	require.LessOrEqual(t, strings.Count(text, "\n"), 24)
}
