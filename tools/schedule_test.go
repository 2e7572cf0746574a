package tools

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimesThatAreToComeAreTheNextOnes(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // a Wednesday
	for text, want := range map[string]time.Time{
		"09:00":                time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC),
		"18:00":                time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC),
		"tomorrow 09:00":       time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC),
		"friday 18:00":         time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC),
		"Fri 18:00:30":         time.Date(2026, 11, 27, 18, 0, 30, 0, time.UTC),
		"wednesday 11:59":      time.Date(2026, 12, 2, 11, 59, 0, 0, time.UTC),
		"wed 12:01":            time.Date(2026, 11, 25, 12, 1, 0, 0, time.UTC),
		"tue 12:00":            time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC),
		"2026-12-24 18:00":     time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC),
		"2026-12-24T18:00:00Z": time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC),
		"2h30m":                now.Add(150 * time.Minute),
		"now":                  now,
	} {
		got, err := parseFuture(text, now)
		require.NoError(t, err, text)
		require.True(t, want.Equal(got), "%s: %v", text, got)
	}
	for _, bad := range []string{"", "someday 09:00", "friday", "friday noon", "25:00"} {
		_, err := parseFuture(bad, now)
		require.Error(t, err, bad)
	}
}
