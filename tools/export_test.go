package tools

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

// sampleMessages are messages with everything that a message can have.
func sampleMessages() []waiting {
	binary := make([]byte, 300)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range binary {
		binary[i] = byte(r.Uint32())
	}
	props := func(pairs ...string) string {
		var b []byte
		for i := 0; i < len(pairs); i += 2 {
			b = message.AppendProperty(b, pairs[i], pairs[i+1])
		}
		return string(b)
	}
	return []waiting{
		{1_900_000_000_001, message.Message{
			Topic: "orders", QueueID: 3, Flag: 7, SysFlag: 1, BornMs: 5, BornHost: netip.MustParseAddrPort("10.0.0.1:99"), StoreMs: 6,
			ReconsumeTimes: 2, PreparedTxOffset: 9, Body: []byte("<a> & \u2028 \"b\"\n"),
			Properties: props("KEYS", "k1 k2", "TAGS", "x", "UNIQ_KEY", "ID1", "a", "=\x01="),
		}},
		{1_900_000_000_001, message.Message{Topic: "%RETRY%g", Body: binary, Properties: props("DELAY", "3", "UNIQ_KEY", "ID2")}},
		{1_900_000_000_002, message.Message{Topic: "orders", BornHost: netip.MustParseAddrPort("[2001:db8::1]:8"), Body: []byte("x"), Properties: props("UNIQ_KEY", "ID3")}},
	}
}

// writeSample writes the samples as an export.
func writeSample(t *testing.T, path string, zip bool) {
	t.Helper()
	w, err := newExportWriter(path, nil, zip)
	require.NoError(t, err)
	_, err = writeExport(w, "a test", testNow, &selection{}, func(yield func(waiting, error) bool) {
		for _, m := range sampleMessages() {
			if !yield(m, nil) {
				return
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, w.finish())
}

func TestAnExportComesBackAsItWas(t *testing.T) {
	for _, name := range []string{"plain.jsonl", "packed.jsonl.zst"} {
		path := filepath.Join(t.TempDir(), name)
		writeSample(t, path, false)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, strings.HasSuffix(name, ".zst"), bytes.HasPrefix(b, zstdMagic))
		require.NoFileExists(t, path+partial)

		r, err := openExport(path, nil)
		require.NoError(t, err)
		line, err := r.next()
		require.NoError(t, err)
		require.Equal(t, exportVersion, line.header.Version)
		for _, want := range sampleMessages() {
			line, err := r.next()
			require.NoError(t, err)
			require.Equal(t, want.fireMs, line.msg.DueMs)
			got, err := line.msg.message()
			require.NoError(t, err)
			require.Equal(t, propertyMap(want.msg.Properties), propertyMap(got.Properties))
			got.Properties = want.msg.Properties
			if !got.BornHost.IsValid() {
				got.BornHost = want.msg.BornHost
			}
			require.Equal(t, want.msg, *got)
		}
		line, err = r.next()
		require.NoError(t, err)
		require.EqualValues(t, 3, line.end.Messages)
		_, err = r.next()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, r.close())
	}
}

func propertyMap(s string) map[string]string {
	m := map[string]string{}
	for name, value := range message.Properties(s) {
		m[name] = value
	}
	return m
}

func TestTheFormatOfAnExportStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	writeSample(t, path, false)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join("testdata", "export-v1.jsonl"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestAFileThatIsNoExportIsRefusedWithItsReason(t *testing.T) {
	header := `{"duelog_export":1}` + "\n"
	for _, x := range []struct{ content, says string }{
		{"", "cut short"},
		{"hello\n", "line 1: "},
		{`{"topic":"t"}` + "\n", "its first line is not the header"},
		{`{"duelog_export":2}` + "\n", "version 2, this duelogctl reads up to 1"},
		{header + `{"topic":"t","body":"x"}`, "line 2: due_ms is missing"},
		{header + `{"due_ms":1,"body":"x"}`, "line 2: the topic is missing"},
		{header + `{"topic":"t","due_ms":1,"body":"x","body_base64":"eA=="}`, "both a body and a body_base64"},
		{header + `{"topic":"t","due_ms":1,"body":"x","born_host":"nowhere"}`, "born_host"},
		{header + `{"topic":"t","due_ms":1,"body":"x","properties":{"a":""}}`, `the property "a" cannot be stored`},
		{header + `{"topic":"t","due_ms":1,"body":"x"}`, "cut short"},
		{string(zstdMagic) + "rubbish", "read "},
	} {
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.WriteFile(path, []byte(x.content), 0o644))
		code, _, errs := run(t, "import", path, "--store", filepath.Join(t.TempDir(), "s"), "--segment-size", "1048576")
		require.NotEqual(t, ExitOK, code, x.content)
		require.Contains(t, errs, x.says)
	}
}

func TestWhereAnImportGoesMustBeSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	writeSample(t, path, false)
	for _, where := range [][]string{{}, {"--online", "--store", "x"}} {
		code, _, errs := run(t, append([]string{"import", path}, where...)...)
		require.Equal(t, ExitUsage, code)
		require.Contains(t, errs, "either --store DIR or --online")
	}
}

func FuzzExportLine(f *testing.F) {
	f.Add([]byte(`{"duelog_export":1}`))
	f.Add([]byte(`{"end":true}`))
	f.Add([]byte(`{"topic":"t","due_ms":1,"body":"x","properties":{"a":"b"},"born_host":"1.2.3.4:5"}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		x, err := parseExportLine(b)
		if err != nil || x.msg == nil {
			return
		}
		if m, err := x.msg.message(); err == nil {
			if _, err := message.Append(nil, m); err != nil {
				panic("a message that was accepted cannot be stored: " + err.Error())
			}
		}
	})
}
