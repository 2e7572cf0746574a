package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Hint is what a user does about a server that is not there.
const Hint = "run: duelog-bench peers --install"

// Program is how to start a server.
type Program struct {
	// Path is the file.
	Path string
	// Env are variables that it needs, in the form of os.Environ.
	Env []string
}

// Cache returns the directory for everything that is fetched. It need not exist.
func Cache() (string, error) {
	if dir := os.Getenv("DUELOG_BENCH_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/duelog-bench", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the peers: %w; set DUELOG_BENCH_CACHE", err)
	}
	return filepath.Join(dir, "duelog-bench"), nil
}

// Find returns a program of a Debian package: that of the machine, else the one
// that was fetched. Patterns are further places to look at, for instance
// /usr/lib/postgresql/*/bin; they are looked up below the unpacked packages too.
func Find(name string, patterns ...string) (Program, error) {
	if path, err := exec.LookPath(name); err == nil {
		return Program{Path: path}, nil
	}
	cache, err := Cache()
	if err != nil {
		return Program{}, err
	}
	root := filepath.Join(cache, "debian")
	for _, prefix := range []string{"", root} {
		for _, dir := range append(patterns, "/usr/bin", "/usr/sbin") {
			if path, ok := newest(filepath.Join(prefix, dir, name)); ok {
				return Program{Path: path, Env: libraries(root, prefix)}, nil
			}
		}
	}
	return Program{}, fmt.Errorf("%s is not installed; %s", name, Hint)
}

// newest returns the last file of a pattern: of several versions the highest, as
// far as names sort so.
func newest(pattern string) (string, bool) {
	paths, _ := filepath.Glob(pattern) // The patterns are constants and valid.
	if len(paths) == 0 {
		return "", false
	}
	return paths[len(paths)-1], true
}

// libraries lets an unpacked program find the libraries that came with it.
func libraries(root, prefix string) []string {
	if prefix == "" {
		return nil
	}
	dirs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*")) // a constant pattern is valid
	list := ""
	for _, dir := range dirs {
		list += dir + string(os.PathListSeparator)
	}
	return []string{"LD_LIBRARY_PATH=" + list + os.Getenv("LD_LIBRARY_PATH")}
}
