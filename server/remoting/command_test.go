package remoting

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersInFieldsAreCheckedAndSayWhatIsWrong(t *testing.T) {
	c := NewRequest(ReqPullMessage, Field{"n", "12"}, Field{"big", "5000000000"}, Field{"bad", "x" + strings.Repeat("y", 100)}, Field{"empty", ""})
	n, err := c.Int32("n")
	require.NoError(t, err)
	require.Equal(t, int32(12), n)

	_, err = c.Int32("big")
	require.ErrorIs(t, err, strconv.ErrRange)
	require.EqualError(t, err, `header field big: "5000000000" is not valid: value out of range`)
	big, err := c.Int64("big")
	require.NoError(t, err)
	require.Equal(t, int64(5000000000), big)

	_, err = c.Int64("bad")
	require.ErrorIs(t, err, strconv.ErrSyntax)
	require.Less(t, len(err.Error()), 150)
	for _, key := range []string{"none", "empty"} {
		_, err = c.Int32(key)
		require.ErrorIs(t, err, ErrMissingField)
		require.EqualError(t, err, "header field "+key+" is missing")
	}
}

func TestDefaultsStandInForMissingFieldsOnly(t *testing.T) {
	c := NewRequest(1, Field{"bad", "x"}, Field{"empty", ""}, Field{"one", "1"})
	for _, key := range []string{"none", "empty"} {
		a, err := c.Int32Or(key, 7)
		require.NoError(t, err)
		require.Equal(t, int32(7), a)
		b, err := c.Int64Or(key, 8)
		require.NoError(t, err)
		require.Equal(t, int64(8), b)
		d, err := c.BoolOr(key, true)
		require.NoError(t, err)
		require.True(t, d)
	}
	_, err := c.Int32Or("bad", 7)
	require.Error(t, err)
	_, err = c.Int64Or("bad", 7)
	require.Error(t, err)
	_, err = c.BoolOr("bad", true)
	require.Error(t, err)
	one, err := c.BoolOr("one", false)
	require.NoError(t, err)
	require.True(t, one)
}

func TestTruthValuesComeInSeveralSpellings(t *testing.T) {
	for s, want := range map[string]bool{"true": true, "TRUE": true, "1": true, "false": false, "False": false, "0": false} {
		got, err := NewRequest(1, Field{"k", s}).Bool("k")
		require.NoError(t, err)
		require.Equal(t, want, got, s)
	}
	_, err := NewRequest(1).Bool("k")
	require.ErrorIs(t, err, ErrMissingField)
}

func TestNamesOfCodesAndLanguages(t *testing.T) {
	require.Equal(t, "SEND_MESSAGE_V2", RequestName(ReqSendMessageV2))
	require.Equal(t, "VIEW_MESSAGE_BY_ID", RequestName(33))
	require.True(t, KnownRequest(ReqPopMessage))
	require.Equal(t, "4711", RequestName(4711))
	require.False(t, KnownRequest(4711))
	require.Equal(t, "TOPIC_NOT_EXIST", ResponseName(17))
	require.Equal(t, "-5", ResponseName(-5))
	for code, name := range languages {
		require.Equal(t, uint8(code), LanguageCode(name))
		require.Equal(t, name, LanguageName(uint8(code)))
	}
	require.Equal(t, "OTHER", LanguageName(200))
	require.Equal(t, "slow_reader", CloseSlowReader.String())
	require.Equal(t, "unknown", CloseReasons.String())
}
