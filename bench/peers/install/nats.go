package install

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// NATSVersion is the release that is built. Message schedules need 2.12 or later.
const NATSVersion = "v2.15.2"

// NATS returns the NATS server in the cache.
func NATS() (Program, error) {
	path, err := natsPath()
	if err != nil {
		return Program{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return Program{}, fmt.Errorf("nats-server %s is not built; %s", NATSVersion, Hint)
	}
	return Program{Path: path}, nil
}

// BuildNATS builds the NATS server from its Go module.
func BuildNATS(ctx context.Context, log io.Writer) error {
	target, err := natsPath()
	if err != nil {
		return err
	}
	err = build(target, func(dir string) (string, error) {
		env := []string{"GOBIN=" + dir, "GOFLAGS="}
		_, err := command(ctx, log, dir, env, "go", "install", "github.com/nats-io/nats-server/v2@"+NATSVersion)
		return filepath.Join(dir, "nats-server"), err
	})
	if err != nil {
		return fmt.Errorf("build nats-server: %w", err)
	}
	return nil
}

func natsPath() (string, error) {
	cache, err := Cache()
	return filepath.Join(cache, "nats-server-"+NATSVersion), err
}
