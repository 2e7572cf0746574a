package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// CacheDir is where clients are kept between runs.
func CacheDir() (string, error) {
	if dir := os.Getenv("DUELOG_E2E_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "duelog-e2e"), nil
}

// cached returns the directory name of the cache, and fills it when it is not
// there. A directory that exists is complete, even when two runs race: it is
// filled under another name.
func cached(name string, fill func(dir string) error) (string, error) {
	root, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(root, name+".part")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	if err := fill(scratch); err != nil {
		return "", fmt.Errorf("fetch %s: %w", name, err)
	}
	if err := os.Rename(scratch, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", err
		}
	}
	return dir, nil
}

// workDir makes a directory for one process of the test: temporary, or below
// DUELOG_E2E_KEEP.
func workDir(t *testing.T, name string) string {
	root := os.Getenv("DUELOG_E2E_KEEP")
	if root == "" {
		return t.TempDir()
	}
	dir := filepath.Join(root, strings.ReplaceAll(t.Name(), "/", "-"), name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}

// tail returns the last lines of a log.
func tail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}
