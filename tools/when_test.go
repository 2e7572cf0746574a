package tools

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseWhenReadsWhatPeopleWrite(t *testing.T) {
	zone := time.FixedZone("east", 8*3600)
	now := time.Date(2026, 11, 23, 14, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"now":                       "2026-11-23T14:30:00+08:00",
		"30s":                       "2026-11-23T14:30:30+08:00",
		"+2h":                       "2026-11-23T16:30:00+08:00",
		"-1h30m":                    "2026-11-23T13:00:00+08:00",
		"7d":                        "2026-11-30T14:30:00+08:00",
		"1d12h":                     "2026-11-25T02:30:00+08:00",
		"-1d":                       "2026-11-22T14:30:00+08:00",
		"15:04":                     "2026-11-23T15:04:00+08:00",
		"today 09:00":               "2026-11-23T09:00:00+08:00",
		"tomorrow 09:00":            "2026-11-24T09:00:00+08:00",
		"2026-12-01":                "2026-12-01T00:00:00+08:00",
		"2026-12-01 09:05":          "2026-12-01T09:05:00+08:00",
		"2026-12-01T09:05:06.789Z":  "2026-12-01T17:05:06.789+08:00",
		"2026-12-01 09:05:06.789":   "2026-12-01T09:05:06.789+08:00",
		"2026-12-01T09:05:06+01:00": "2026-12-01T16:05:06+08:00",
		"@1795413600000":            "2026-11-23T14:00:00+08:00",
	} {
		got, err := parseWhen(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, got.In(zone).Format(time.RFC3339Nano), text)
	}
	for _, text := range []string{"", "soon", "1", "d", "--1h", "-", "1d-2h", "25:00", "2026-13-01", "@", "99999999d", "tomorrow"} {
		_, err := parseWhen(text, now)
		require.Error(t, err, text)
		require.Equal(t, ExitUsage, exitCode(err), text)
	}
}

func FuzzParseWhen(f *testing.F) {
	f.Add("1d12h")
	f.Add("tomorrow 09:00")
	f.Add("@12")
	f.Fuzz(func(t *testing.T, s string) { _, _ = parseWhen(s, testNow) })
}
