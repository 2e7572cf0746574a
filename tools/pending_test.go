package tools

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/client"
)

func chartOf(t *testing.T, format string, counts ...int64) string {
	var out bytes.Buffer
	s := pendingView{cluster: &cluster{e: newEnv(Process{Out: &out, Err: t.Output()})}}
	s.e.format = format
	from := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	require.NoError(t, s.chart(from, time.Hour, "15:04 -07:00", counts))
	return out.String()
}

func TestTheChartLeavesOutLongTimesWithoutMessages(t *testing.T) {
	at := func(hour int) string {
		return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC).Local().Format("15:04 -07:00")
	}
	require.Equal(t, "FROM          MESSAGES  CHART\n"+
		at(7)+"         1  #########################\n"+
		at(8)+"         0\n"+
		at(9)+"         0\n"+
		at(10)+"         2  ##################################################\n"+
		"...                     nothing for 3h\n"+
		at(14)+"         1  #########################\n", chartOf(t, "table", 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0))
	require.Empty(t, chartOf(t, "table", 0, 0, 0, 0))
	require.Equal(t, 4, countRows(t, "csv", chartOf(t, "csv", 0, 0, 0, 0)), "programs get every row")
}

func TestReachedIsWhereTheFirstBrokerStopped(t *testing.T) {
	var r reached
	whole := client.PendingCounts{FromMs: 100, StepMs: 50, Counts: make([]int64, 2), CompleteToMs: 200}
	r.take(&whole)
	require.Zero(t, r)
	for _, at := range []int64{180, 150, 170} {
		part := whole
		part.CompleteToMs = at
		r.take(&part)
	}
	require.Equal(t, reached(150), r)
}

func TestDurationsArePrintedAsPeopleWriteThem(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"0s": 0, "1ms": time.Millisecond, "2.5s": 2500 * time.Millisecond, "30m": 30 * time.Minute, "1h": time.Hour, "1h0m5s": time.Hour + 5*time.Second,
		"20h": 20 * time.Hour, "1d12h": 36 * time.Hour, "300d": 7200 * time.Hour, "-2d1s": -48*time.Hour - time.Second,
	} {
		require.Equal(t, text, humanText(d))
		if d != 0 {
			got, err := parseDuration(text)
			require.NoError(t, err)
			require.Equal(t, d, got)
		}
	}
}
