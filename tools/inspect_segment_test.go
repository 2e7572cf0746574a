package tools

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
)

// writeLongSegment writes a segment with the messages KEY00 to KEY15, longer by far than
// what a scan reads at once, and returns its path.
func writeLongSegment(t *testing.T) string {
	f := newFixture(t, t.TempDir())
	for i := range 16 {
		key := fmt.Sprintf("KEY%02d", i)
		r := f.record(key, false, int64(i))
		var m message.Message
		require.NoError(t, message.Decode(r.Payload, &m))
		m.Body = fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, i, bytes.Repeat([]byte{byte('a' + i)}, 256<<10))
		payload, err := message.Append(nil, &m)
		require.NoError(t, err)
		r.Payload = payload
		f.frame(0, fixtureStart, []string{key}, r)
	}
	f.write(segmentPath(0, 0), commitlog.AppendSeal(f.lanes[0], commitlog.MakeLoc(0, int64(len(f.lanes[0]))), fixtureStart))
	return filepath.Join(f.dir, segmentPath(0, 0))
}

// The table waits for rows while the scan reads on into the same memory.
func TestTheTableOfALongSegmentSaysWhatTheOtherFormsSay(t *testing.T) {
	path := writeLongSegment(t)
	for _, body := range []string{"none", "text", "json", "hex"} {
		code, out, errs := run(t, "inspect", "segment", path, "--body", body, "-o", "csv")
		require.Equal(t, ExitOK, code, errs)
		want, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		require.NoError(t, err)
		code, out, errs = run(t, "inspect", "segment", path, "--body", body)
		require.Equal(t, ExitOK, code, errs)
		require.Less(t, len(out), 128<<10, "bodies are shortened for people")
		got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		require.Len(t, got, len(want))
		for i, row := range want[1:] {
			cells := strings.Fields(got[i+1])
			require.Equal(t, row[1:4], cells[1:4])
			if row[3] != "body" {
				require.Equal(t, row[4], cells[4])
				continue
			}
			begin, size, shortened := strings.Cut(strings.Join(cells[4:], " "), "... ")
			require.True(t, shortened, got[i+1])
			require.True(t, strings.HasPrefix(row[4], begin))
			if body != "hex" {
				require.Equal(t, fmt.Sprintf("(%d bytes)", len(row[4])), size)
			}
		}
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Greater(t, len(b), 4<<20)
}
