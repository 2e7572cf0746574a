package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIndexGivesEveryEntryBackAndLeavesNothing(t *testing.T) {
	o := &Options{Dir: t.TempDir()}
	r, err := Run(t.Context(), &Index{N: 30_000, Mix: MixEveryday}, Target{Name: "embedded"}, o)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Metrics["runs"])
	require.InDelta(t, 17, r.Metrics["bytes_per_pending"], 4)
	for _, m := range []string{"append_ns", "open_ms", "fire_per_s"} {
		require.Positive(t, r.Metrics[m], m)
	}
	require.Equal(t, "none: the index alone", r.Params["bodies"])
	requireEmpty(t, o.Dir)

	_, err = Run(t.Context(), &Index{Mix: MixNow}, Target{}, o)
	require.ErrorContains(t, err, "mix of delays")
}
