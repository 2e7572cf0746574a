package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/store"
)

func TestAFullDiskIsNoReasonToBeRestarted(t *testing.T) {
	full, failed := &store.Stats{DiskFull: true}, &store.Stats{Failed: true}
	require.NoError(t, worthKeeping(&store.Stats{}))
	require.NoError(t, worthKeeping(full))
	require.ErrorContains(t, worthKeeping(failed), "restart")
	require.NoError(t, takesWrites(&store.Stats{}))
	require.ErrorContains(t, takesWrites(full), "disk is full")
	require.ErrorContains(t, takesWrites(failed), "read-only")
	require.ErrorContains(t, takesWrites(&store.Stats{DiskFull: true, Failed: true}), "read-only", "the worse of the two")
}
