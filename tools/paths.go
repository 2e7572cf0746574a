package tools

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// segmentPath is the path of a segment relative to its store.
func segmentPath(lane uint8, base int64) string {
	name := fmt.Sprintf("%020d", base)
	switch lane {
	case store.JournalLane:
		return filepath.Join(store.JournalDir, name)
	case store.CancelLane:
		return filepath.Join(store.CancelDir, name)
	}
	return filepath.Join(store.LogDir, strconv.Itoa(int(lane)), name)
}

// runPath is the path of a run relative to its store.
func runPath(lane uint8, r delayindex.RunInfo) string {
	return filepath.Join(store.IndexDir, strconv.Itoa(int(lane)), delayindex.RunName(r))
}

// Short names of what other packages call at length.
const (
	journalLane = store.JournalLane
	configDir   = "config"
)
