package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestColdReadsAndFiresEveryMessageAndLeavesNothing(t *testing.T) {
	o := &Options{Dir: t.TempDir()}
	w := &Cold{N: 3000, Rounds: 2, Burst: 200, Rate: 100, lead: 2 * time.Second, window: time.Second}
	r, err := Run(t.Context(), w, Target{Name: "embedded"}, o)
	require.NoError(t, err)
	for _, m := range []string{
		"disk_reads_per_s", "scattered_per_s", "scattered_disk_ratio", "sequential_per_s", "block_bytes", "burst_per_s", "lateness_p99_ratio",
	} {
		require.Positive(t, r.Metrics[m], m)
	}
	require.Less(t, r.Metrics["stored_ratio"], 0.5)
	require.EqualValues(t, 200, r.Histograms["lateness_beside"].Count+r.Histograms["lateness_burst"].Count)
	requireEmpty(t, o.Dir)

	_, err = Run(t.Context(), &Cold{Body: 10}, Target{}, o)
	require.ErrorContains(t, err, "bodies of 512 bytes")
}
