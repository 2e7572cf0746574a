package install

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseURIsTakesThePackageNames(t *testing.T) {
	out := "Reading package lists...\n" +
		"'http://deb.debian.org/p/liblzf1_3.6-3_amd64.deb' liblzf1_3.6-3_amd64.deb 10192 MD5Sum:69\n" +
		"'http://deb.debian.org/p/redis-tools_7.0%7edeb12_amd64.deb' redis-tools_5%3a7.0~deb12_amd64.deb 991988 \n"
	require.Equal(t, []string{"liblzf1", "redis-tools"}, parseURIs(out))
	require.Empty(t, parseURIs(""))
}

func TestFindTakesAnUnpackedProgramWithItsLibraries(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("DUELOG_BENCH_CACHE", cache)
	t.Setenv("LD_LIBRARY_PATH", "")
	_, err := Find("no-such-server", "/opt/server/*/bin")
	require.ErrorContains(t, err, Hint)

	for _, dir := range []string{"usr/lib/x86_64-linux-gnu", "opt/server/1/bin", "opt/server/2/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(cache, "debian", dir), 0o755))
	}
	for _, version := range []string{"1", "2"} {
		path := filepath.Join(cache, "debian/opt/server", version, "bin/no-such-server")
		require.NoError(t, os.WriteFile(path, nil, 0o755))
	}
	p, err := Find("no-such-server", "/opt/server/*/bin")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(cache, "debian/opt/server/2/bin/no-such-server"), p.Path)
	require.Equal(t, []string{"LD_LIBRARY_PATH=" + filepath.Join(cache, "debian/usr/lib/x86_64-linux-gnu") + ":"}, p.Env)
}

func TestFindPrefersTheProgramOfTheMachine(t *testing.T) {
	t.Setenv("DUELOG_BENCH_CACHE", t.TempDir())
	p, err := Find("sh")
	require.NoError(t, err)
	require.Empty(t, p.Env)
}

func TestBuildMakesItsTargetWholeOrNotAtAll(t *testing.T) {
	target := filepath.Join(t.TempDir(), "cache", "thing")
	broken := errors.New("no network")
	require.ErrorIs(t, build(target, func(string) (string, error) { return "", broken }), broken)
	require.NoFileExists(t, target)

	require.NoError(t, build(target, func(dir string) (string, error) {
		made := filepath.Join(dir, "made")
		return made, os.WriteFile(made, []byte("1"), 0o644)
	}))
	require.FileExists(t, target)
	require.NoError(t, build(target, func(string) (string, error) { return "", broken }), "it is there already")

	entries, err := os.ReadDir(filepath.Dir(target))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left of either attempt")
}

func TestAToolThatFailsIsQuoted(t *testing.T) {
	_, err := command(t.Context(), io.Discard, "", nil, "sh", "-c", "echo one; echo the reason >&2; exit 3")
	require.EqualError(t, err, "sh: exit status 3: the reason")
	_, err = command(t.Context(), io.Discard, "", nil, "sh", "-c", "echo one; echo two; exit 3")
	require.EqualError(t, err, "sh: exit status 3: two", "a tool that complains on its standard output")
	_, err = command(t.Context(), io.Discard, "", nil, "no-such-tool")
	require.ErrorContains(t, err, "no-such-tool is needed")
}
