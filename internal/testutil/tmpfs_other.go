//go:build !linux

package testutil

import "testing"

// Tmpfs needs Linux; elsewhere the test is skipped.
func Tmpfs(t testing.TB, _ int64) string {
	t.Helper()
	t.Skip("tmpfs needs Linux")
	return ""
}
