package tools

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

// copyConfig copies the broker's tables as they are.
func (r *repair) copyConfig() error {
	names, err := os.ReadDir(filepath.Join(r.dir, configDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("copy configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(r.out, configDir), 0o755); err != nil {
		return err
	}
	for _, d := range names {
		if !d.Type().IsRegular() || filepath.Ext(d.Name()) != ".json" {
			continue
		}
		if err := r.copyTable(d.Name()); err != nil {
			return fmt.Errorf("copy configuration: %w", err)
		}
	}
	return durable.SyncDir(filepath.Join(r.out, configDir))
}

// copyTable copies one table of the broker: the newest content that is whole.
func (r *repair) copyTable(name string) error {
	from := filepath.Join(r.dir, configDir, name)
	if checkJSON(from) != nil {
		if checkJSON(from+durable.BackupSuffix) != nil {
			r.lostTables++
			r.e.note("%s is damaged and has no good backup: it is left out, and what it said is lost", from)
			return nil
		}
		r.e.note("%s is damaged: its backup, the content before the last, takes its place", from)
		from += durable.BackupSuffix
	}
	return copyFile(from, filepath.Join(r.out, configDir, name))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = durable.Datasync(out)
	}
	return errors.Join(err, out.Close())
}
