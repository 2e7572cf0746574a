package tools

import (
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/store"
)

// kindOf is the verb of inspect that shows a file, by its name and directory; "" if they
// do not tell.
func kindOf(path string) string {
	name := filepath.Base(path)
	switch ext := filepath.Ext(name); {
	case name == store.ManifestName:
		return "manifest"
	case name == "offsets.json":
		return "offsets"
	case ext == ".run":
		return "run"
	case ext == ".keys":
		return "keys"
	}
	if _, ok := parseSegmentName(name); !ok {
		return ""
	}
	lane, _ := laneOf(path)
	dir := filepath.Dir(filepath.Dir(path))
	switch {
	case filepath.Base(filepath.Dir(dir)) == store.ConsumeQueueDir:
		return "queue"
	case lane >= store.CancelLane, lane >= 0 && filepath.Base(dir) == store.LogDir:
		return verbOf(lane)
	}
	return ""
}

// isFor refuses a file that another verb of inspect shows.
func (t *target) isFor(verbs ...string) error {
	kind := kindOf(t.file)
	if t.file == "" || kind == "" || slices.Contains(verbs, kind) {
		return nil
	}
	return hint(usagef("%s is no file for this verb", t.file), "duelogctl inspect %s %s", kind, t.file)
}
