package durable

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPunchHoleGivesBlocksBackAndPreallocateTakesThemAgain(t *testing.T) {
	const size = 1 << 20
	f := newFile(t, "")
	_, err := f.Write(bytes.Repeat([]byte("x"), size))
	require.NoError(t, err)
	require.NoError(t, Datasync(f))
	full := diskBytes(t, f)

	require.NoError(t, PunchHole(f, size/2, 0))
	require.NoError(t, PunchHole(f, size/2, size/2))
	if diskBytes(t, f) == full {
		t.Skip("this file system cannot punch holes")
	}
	b, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte("x"), size/2), b[:size/2])
	require.Equal(t, make([]byte, size/2), b[size/2:])

	require.NoError(t, Preallocate(f, size))
	require.GreaterOrEqual(t, diskBytes(t, f), int64(size))
}

func TestPunchHoleOutsideOfAnyFileIsAnError(t *testing.T) {
	require.Error(t, PunchHole(newFile(t, "x"), -1, 5))
}
