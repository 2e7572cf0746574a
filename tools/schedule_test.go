package tools

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScheduleShowsWhenTheBrokerDelivers: the clock of the client, here of days ago, does not count.
func TestScheduleShowsWhenTheBrokerDelivers(t *testing.T) {
	t.Parallel()
	addrs, stop, err := startBroker(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	due := func(column int, args ...string) string {
		code, out, errs := run(t, append(args, "--namesrv", addrs.Namesrv, "-o", "csv")...)
		require.Equal(t, ExitOK, code, errs)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, "due", rows[0][column])
		return rows[1][column]
	}
	for range 3 {
		sent := due(4, "schedule", "orders", "body", "--in", "1h", "--id", "A")
		require.Equal(t, due(0, "pending", "--list"), sent)
		code, _, errs := run(t, "cancel", "--topic", "orders", "A", "--namesrv", addrs.Namesrv)
		require.Equal(t, ExitOK, code, errs)
	}
}
