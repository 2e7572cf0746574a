package runfile

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/duelog/duelog/internal/durable"
)

// Name returns the file name of a run that stands for the lane bytes
// [start, end); names sort in lane order.
func Name(start, end int64, suffix string) string {
	return fmt.Sprintf("%020d-%020d%s", start, end, suffix)
}

// DeleteUnlisted removes from dir the files with the given suffix, whole or under
// construction, that are not listed: what unfinished writes and drops left behind.
func DeleteUnlisted(dir, suffix string, listed map[string]bool, log *slog.Logger) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		if listed[name] || !strings.HasSuffix(strings.TrimSuffix(name, TmpSuffix), suffix) {
			continue
		}
		path := filepath.Join(dir, name)
		if err := durable.Remove(path); err != nil {
			return fmt.Errorf("delete unregistered run: %w", err)
		}
		log.Info("deleted unregistered run", "path", path)
	}
	return nil
}
