package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/duelog/duelog/internal/durable"
)

// OffsetOf names one consumer offset: how far a group is in a queue of a topic.
type OffsetOf struct {
	Topic, Group string
	Queue        int32
}

// ReadOffsets reads the consumer offsets in the config directory of a broker that
// may be running, for programs that look into its data. usedBackup tells that the
// newest file was damaged or missing. Without any file there are no offsets.
func ReadOffsets(configDir string) (table map[OffsetOf]int64, usedBackup bool, err error) {
	path := filepath.Join(configDir, offsetsFile)
	_, usedBackup, err = durable.ReadFile(path, func(data []byte) (err error) {
		table, err = parseOffsets(data)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return table, usedBackup, err
}

func parseOffsets(data []byte) (map[OffsetOf]int64, error) {
	var saved offsetsJSON
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, err
	}
	table := map[OffsetOf]int64{}
	for name, byQueue := range saved.Table {
		topic, group, ok := strings.Cut(name, keySeparator)
		if !ok {
			return nil, fmt.Errorf("%q is not topic@group", name)
		}
		for id, offset := range byQueue {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil || offset < 0 {
				return nil, fmt.Errorf("queue %q of %q at offset %d", id, name, offset)
			}
			table[OffsetOf{topic, group, int32(n)}] = offset
		}
	}
	return table, nil
}
