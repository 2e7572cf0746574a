package install

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Debian fetches packages, and those of their dependencies that the machine does
// not have, and unpacks them into the cache. apt checks their signatures.
func Debian(ctx context.Context, log io.Writer, packages ...string) error {
	cache, err := Cache()
	if err != nil {
		return err
	}
	root := filepath.Join(cache, "debian")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make the cache of the peers: %w", err)
	}
	names, err := resolve(ctx, log, packages)
	if err != nil {
		return fmt.Errorf("resolve the packages %s: %w", strings.Join(packages, " "), err)
	}
	dir, err := os.MkdirTemp(cache, ".debs-")
	if err != nil {
		return fmt.Errorf("make the cache of the peers: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, name := range names {
		if _, err := command(ctx, log, dir, nil, "apt-get", "download", name); err != nil {
			return fmt.Errorf("fetch the package %s: %w", name, err)
		}
	}
	return unpack(ctx, log, dir, root)
}

// resolve returns the packages that an installation would fetch. Package lists
// that are missing or old are renewed once, which only root may do.
func resolve(ctx context.Context, log io.Writer, packages []string) ([]string, error) {
	args := append([]string{"install", "--print-uris", "-qq", "-y", "--no-install-recommends"}, packages...)
	out, err := command(ctx, log, "", nil, "apt-get", args...)
	if err != nil && ctx.Err() == nil && os.Geteuid() == 0 {
		if _, err := command(ctx, log, "", nil, "apt-get", "update", "-qq"); err != nil {
			return nil, err
		}
		out, err = command(ctx, log, "", nil, "apt-get", args...)
	}
	return parseURIs(string(out)), err
}

// parseURIs returns the package names of lines such as
//
//	'http://deb.debian.org/.../redis-tools_7.0.15-1_amd64.deb' redis-tools_5%3a7.0.15-1_amd64.deb 991988 SHA256:...
func parseURIs(out string) []string {
	var names []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		if name, _, ok := strings.Cut(fields[1], "_"); ok {
			names = append(names, name)
		}
	}
	return names
}

func unpack(ctx context.Context, log io.Writer, dir, root string) error {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := command(ctx, log, "", nil, "dpkg-deb", "-x", deb, root); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	return nil
}
