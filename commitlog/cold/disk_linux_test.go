package cold

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// diskBytes is what the file takes on disk.
func diskBytes(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	return st.Sys().(*syscall.Stat_t).Blocks * 512
}
