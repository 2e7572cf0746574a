package tools

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// The figures of a verb that reads the files are those of the store that has them open.
func TestSpaceSaysWhatTheStoreSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := store.NewManualClock(testNow)
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 1024, Flush: commitlog.Async, Clock: clock,
	})
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	for i := range 2000 {
		ahead := []time.Duration{0, time.Second, time.Hour, 10 * time.Hour, 60 * time.Hour, 1000 * time.Hour}[i%6]
		r := f.record(fmt.Sprintf("M%d", i), ahead > 0, 0)
		m := store.Message{Queue: q, Payload: r.Payload, Tag: r.Tag, Key: r.Key}
		if ahead > 0 {
			m.FireMs = testNow.Add(ahead).UnixMilli()
		}
		put, err := s.Put(t.Context(), &m)
		require.NoError(t, err)
		if i%12 > 6 && ahead > time.Second { // every other one that waits
			require.NoError(t, s.Cancel(put.Loc))
		}
	}
	clock.Advance(testNow.Add(2 * time.Second))
	require.NoError(t, s.Settle(t.Context()))
	require.NoError(t, s.Maintain(t.Context()))

	want, err := s.Space(t.Context())
	require.NoError(t, err)
	code, out, errs := run(t, "space", dir, "-o", "json")
	require.Equal(t, ExitOK, code, errs)
	var rows []struct {
		Lane     uint8
		Messages int64
		store.SpaceBytes
	}
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, len(want.Lanes))
	for i, lane := range want.Lanes {
		require.Equal(t, lane.Lane, rows[i].Lane)
		require.Equal(t, lane.Sum(), rows[i].SpaceBytes, "lane %d", lane.Lane)
		if lane.Lane > 0 {
			require.Positive(t, rows[i].Dead, "what was recalled")
			require.InDelta(t, rows[i].Pending, rows[i].Dead, float64(rows[i].Pending)/2, "half of it was recalled, and frames have headers")
		}
		records := int64(0)
		for _, seg := range lane.Segments {
			records += seg.Records
		}
		require.Equal(t, records, rows[i].Messages)
	}
}

// What dies in all periods is what is alive, and what is freed is all that is allocated.
func TestSpaceFreesEverythingInTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeCold(t, dir, testNow, 2*time.Hour, 500)
	sum := func(by string, columns ...string) (total int64) {
		code, out, errs := run(t, "space", dir, "--by", by, "-o", "json")
		require.Equal(t, ExitOK, code, errs)
		var rows []map[string]any
		require.NoError(t, json.Unmarshal([]byte(out), &rows))
		for _, row := range rows {
			if row["messages"] == 0. {
				continue // was made for messages to come, and stays
			}
			for _, c := range columns {
				total += int64(row[c].(float64))
			}
		}
		return total
	}
	alive := sum("lane", "pending", "live")
	require.Positive(t, alive)
	for _, by := range []string{"segment", "topic"} {
		require.Equal(t, alive, sum(by, "pending", "live"))
	}
	for _, by := range []string{"hour", "day"} {
		require.Equal(t, alive, sum(by, "dying"))
		require.Equal(t, sum("segment", "allocated"), sum(by, "freed"))
	}
}

func TestSpaceAsksABroker(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `duelog_written_bytes_total{class="log"} 1000`)
		fmt.Fprintln(w, `duelog_written_bytes_total{class="queue"} 234`)
		fmt.Fprintln(w, `duelog_write_amplification 1.25`)
	}))
	defer admin.Close()
	code, out, errs := run(t, "space", dir, "--by", "kind", "--admin", strings.TrimPrefix(admin.URL, "http://"), "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "ever,since_start\nlog,")
	require.Regexp(t, `(?m)^log,.*,1000$`, out)
	require.Regexp(t, `(?m)^queues,.*,234$`, out)
	require.Regexp(t, `(?m)^cold,.*,$`, out)
	require.Regexp(t, `(?m)^total,.*,1234$`, out)
	require.Contains(t, errs, "since its start the broker has written 1.250 bytes for each byte")
}
