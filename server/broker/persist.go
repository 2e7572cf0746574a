package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/duelog/duelog/internal/durable"
)

// File names in the config directory. Their layout is that of RocketMQ's own
// config files, so that people and tools who know those can read them.
const (
	topicsFile  = "topics.json"
	groupsFile  = "groups.json"
	offsetsFile = "offsets.json"
)

// dataVersion tells tools whether a table has changed.
type dataVersion struct {
	Counter      int64 `json:"counter"`
	StateVersion int64 `json:"stateVersion"`
	Timestamp    int64 `json:"timestamp"` // ms of the last change
}

func (v *dataVersion) bump(nowMs int64) {
	v.Counter++
	v.Timestamp = nowMs
}

// readJSON decodes the config file at path into a T, falling back to its
// backup when it is damaged. A missing file is not an error: it leaves T zero.
func readJSON[T any](path string, log *slog.Logger) (T, error) {
	var v T
	_, usedBackup, err := durable.ReadFile(path, func(data []byte) error {
		var fresh T // a damaged file must not leave its half in v
		if err := json.Unmarshal(data, &fresh); err != nil {
			return err
		}
		v = fresh
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if usedBackup {
		log.Warn("config file was damaged, took its backup", "path", path)
	}
	return v, err
}

// writeJSON replaces the config file at path durably.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return durable.WriteFile(path, data)
}
