package broker

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersOfASendAreReadAsStrconvReadsThem(t *testing.T) {
	for _, s := range []string{
		"0", "7", "007", "-1", "+3", "2147483647", "2147483648", "-2147483648", "-2147483649", "999999999999999999",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "0000000000000000000000012",
		"x", "1x", " 1", "1 ", "1_0", "-", "\xff", "/", ":",
	} {
		requireParsedAlike(t, s)
	}
	kept32, kept64 := int32(5), int64(math.MinInt64)
	require.True(t, parseInt32("", &kept32))
	require.True(t, parseInt64("", &kept64))
	require.EqualValues(t, 5, kept32, "an empty number is an absent one")
	require.EqualValues(t, math.MinInt64, kept64)
}

func FuzzSendNumber(f *testing.F) {
	f.Add("12")
	f.Add("-9223372036854775809")
	f.Fuzz(func(t *testing.T, s string) {
		if s != "" {
			requireParsedAlike(t, s)
		}
	})
}

func requireParsedAlike(t *testing.T, s string) {
	t.Helper()
	var n32 int32
	want32, err := strconv.ParseInt(s, 10, 32)
	require.Equal(t, err == nil, parseInt32(s, &n32), "%q", s)
	if err == nil {
		require.EqualValues(t, want32, n32)
	}
	var n64 int64
	want64, err := strconv.ParseInt(s, 10, 64)
	require.Equal(t, err == nil, parseInt64(s, &n64), "%q", s)
	if err == nil {
		require.Equal(t, want64, n64)
	}
}
