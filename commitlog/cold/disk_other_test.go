//go:build !linux

package cold

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// diskBytes is what the file takes on disk.
func diskBytes(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	return st.Size()
}
