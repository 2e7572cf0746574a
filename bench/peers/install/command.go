package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/duelog/duelog/bench/peers/child"
)

// command runs a tool in dir with env added to the environment. Its output goes to
// log, and what it wrote to its standard output is returned. An error quotes the
// last line of its standard error, or of its standard output when that is empty.
func command(ctx context.Context, log io.Writer, dir string, env []string, name string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%s is needed and not in the PATH", name)
	}
	fmt.Fprintln(log, "+", name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	// The two streams are copied by a goroutine each, so their order is not known.
	var stdout, stderr bytes.Buffer
	shared := &lockedWriter{to: log}
	cmd.Stdout = io.MultiWriter(&stdout, shared)
	cmd.Stderr = io.MultiWriter(&stderr, shared)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		said := stderr.Bytes()
		if len(bytes.TrimSpace(said)) == 0 {
			said = stdout.Bytes()
		}
		return nil, fmt.Errorf("%s: %w: %s", name, err, child.LastLine(said))
	}
	return stdout.Bytes(), nil
}

// lockedWriter lets two goroutines write to one writer.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// build makes target, a file or directory, whole or not at all: fill works in a
// new directory and returns what is then renamed to target. A target that exists
// is left alone.
func build(target string, fill func(dir string) (made string, err error)) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(target), ".building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	made, err := fill(dir)
	if err != nil {
		return err
	}
	if err := os.Rename(made, target); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
