package duelog

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

func TestFindTellsWhereAMessageIs(t *testing.T) {
	t.Parallel()
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	e := &Embedded{name: "embedded"}
	e.Simulate(start)
	require.NoError(t, e.Start(t.Context(), t.TempDir()))
	t.Cleanup(func() { require.NoError(t, e.Close()) })

	pub, err := e.Publisher(t.Context(), 0, bench.PublisherOptions{Acked: func(uint64, error) {}})
	require.NoError(t, err)
	soon, later := start.Add(time.Hour), start.Add(100*24*time.Hour)
	for id, due := range []time.Time{{}, soon, later} {
		require.NoError(t, pub.Publish(uint64(id), due, []byte{'m', byte('0' + id)}))
	}
	require.NoError(t, pub.Close())
	find := func(id uint64, due time.Time) string {
		return e.Find(t.Context(), id, due, func(body []byte) bool { return slices.Equal(body, []byte{'m', byte('0' + id)}) })
	}
	require.Contains(t, find(1, soon), "it waits for 2027-01-01T01:00:00.000Z, stored at 0:")
	require.NoError(t, e.Advance(t.Context(), soon))
	require.NoError(t, e.Advance(t.Context(), soon.Add(24*time.Hour)))

	require.Contains(t, find(0, time.Time{}), "slot 0 has had it since 2027-01-01T00:00:00.000Z, stored at 0:")
	require.Contains(t, find(1, soon), "slot 0 has had it since 2027-01-01T01:00:00.000Z, stored at 0:")
	require.Contains(t, find(1, time.Time{}), "queue 1 has slots 0 to 1")
	require.Contains(t, find(2, later), "it waits for 2027-04-11T00:00:00.000Z, stored at 16:", "in a cold file")
	require.Contains(t, find(3, soon), "it is not in its queue and does not wait")

	require.NoError(t, e.Advance(t.Context(), soon.Add(48*time.Hour-time.Millisecond)))
	require.Contains(t, find(1, soon), "slot 0 has")
	e.clock.Advance(soon.Add(48 * time.Hour))
	require.Contains(t, find(1, soon), "of which 1 are void", "nobody trimmed it yet")
}
