package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOfTheMachineIsReadFromMeminfo(t *testing.T) {
	require.Equal(t, int64(24576000<<10), meminfoTotal("MemFree:  1 kB\nMemTotal:       24576000 kB\nBuffers: 2 kB\n"))
	for _, text := range []string{"", "MemTotal: x kB\n", "MemTotal: 5\n", "MemTotal: 99999999999999999999 kB\n"} {
		require.Zero(t, meminfoTotal(text), "%q", text)
	}
}

func TestConnectionsLeaveFileDescriptorsToTheStore(t *testing.T) {
	for descriptors, want := range map[uint64]int{
		0: 16, 64: 16, 79: 16, 80: 16, 128: 64, 256: 192, 1024: 768, 4096: 3072, 1 << 20: 10_000, 1<<64 - 1: 10_000,
	} {
		require.Equal(t, want, connsWithin(descriptors), descriptors)
	}
	require.GreaterOrEqual(t, maxConns(), fewestConns)
}

func TestShortAnswersFitBehindTheLargestMessage(t *testing.T) {
	for _, size := range []int64{1, 4 << 20, maxFrame - headerRoom} {
		most := int64(maxOutBytes(size))
		require.Greater(t, most-(most/2+size+headerRoom), int64(3<<20), size)
	}
}

func TestMemoryOfTheContainerIsReadFromItsControlGroup(t *testing.T) {
	require.Equal(t, int64(1<<30), cgroupLimit("1073741824\n"))
	for _, text := range []string{"", "max\n", "-1", "junk"} {
		require.Zero(t, cgroupLimit(text), "%q", text)
	}
}
