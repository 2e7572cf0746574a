package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func message(kind byte, payload string) []byte {
	return appendMessage(nil, kind, func(b []byte) []byte { return append(b, payload...) })
}

func reading(messages ...[]byte) *conn {
	return &conn{r: bufio.NewReader(bytes.NewReader(bytes.Join(messages, nil)))}
}

func TestReadResultHandsOverRowsUntilTheServerIsReady(t *testing.T) {
	c := reading(
		message('1', ""), message('D', "\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff"),
		message('C', "DELETE 1\x00"), message('Z', "I"), message('X', ""),
	)
	var rows [][][]byte
	refused, err := c.readResult(func(row [][]byte) error {
		rows = append(rows, [][]byte{bytes.Clone(row[0]), row[1]})
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, refused)
	require.Equal(t, [][][]byte{{[]byte("a"), nil}}, rows)
	kind, _, err := c.read()
	require.NoError(t, err)
	require.Equal(t, byte('X'), kind)
}

func TestAnErrorOfTheServerLeavesTheConnectionInOrder(t *testing.T) {
	c := reading(message('E', "SERROR\x00C42601\x00Msyntax error\x00\x00"), message('Z', "I"))
	refused, err := c.readResult(nil)
	require.NoError(t, err)
	require.EqualError(t, refused, "postgres: syntax error (42601)")
}

func TestBytesThatAreNotOfTheProtocolAreRefused(t *testing.T) {
	for _, b := range [][]byte{
		{'D', 0, 0, 0, 3},
		{'D', 0x7f, 0, 0, 0},
		message('D', "\x00"), message('D', "\x00\x01"),
		message('D', "\x00\x01\x00\x00\x00\x02a"), message('D', "\x00\x01\xff\xff\xff\xfe"),
	} {
		_, err := reading(b).readResult(nil)
		require.ErrorIs(t, err, errProtocol, "%q", b)
	}
	_, err := reading(message('R', "\x00\x00\x00\x0a")).readResult(nil)
	require.ErrorContains(t, err, "password")
}

func TestAppendTimeCountsMicrosecondsSince2000(t *testing.T) {
	b := appendTime(nil, time.Date(2000, 1, 1, 0, 0, 1, int(2*time.Millisecond), time.UTC))
	require.Equal(t, uint64(1_002_000), binary.BigEndian.Uint64(b))
	require.Equal(t, uint64(1<<63), binary.BigEndian.Uint64(appendTime(nil, time.Time{})))
}

func TestAppendRunWritesBindAndExecute(t *testing.T) {
	array := func(b []byte) []byte {
		return appendArray(b, oidBytea, 1, func(b []byte, _ int) []byte { return append(b, "ab"...) })
	}
	require.Equal(t, "B\x00\x00\x00\x2f\x00s\x00\x00\x01\x00\x01\x00\x01"+
		"\x00\x00\x00\x1a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02ab"+
		"\x00\x01\x00\x01E\x00\x00\x00\x09\x00\x00\x00\x00\x00", string(appendRun(nil, "s", array)))
}

func FuzzReadResult(f *testing.F) {
	f.Add(message('D', "\x00\x01\x00\x00\x00\x01a"))
	f.Add(message('E', "CX\x00Mx\x00\x00"))
	f.Add(append(message('R', "\x00\x00\x00\x00"), message('Z', "I")...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = reading(b).readResult(func([][]byte) error { return nil })
	})
}
