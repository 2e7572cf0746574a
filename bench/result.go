package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/duelog/duelog/bench/probe"
)

// Schema names the form of a File. Metrics and params may be added to it; what
// there is keeps its meaning.
const Schema = "duelog-bench/1"

// File is the outcome of a run of the command, as JSON keeps it.
type File struct {
	Schema   string        `json:"schema"`
	Revision string        `json:"revision"` // of the source; "unknown" when it was not recorded
	Date     time.Time     `json:"date"`
	Machine  probe.Machine `json:"machine"`
	Results  []Result      `json:"results"`
}

// Result is one workload on one system, once. A limit of the machine is a result
// of the system "limit".
type Result struct {
	System  string `json:"system"`
	Version string `json:"version"`
	// Workload is the name of a Workload, or of a limit.
	Workload string `json:"workload"`
	// Params are numbers, strings and truth values. Those of unjudged say how the run
	// went; the others, what was measured.
	Params map[string]any `json:"params"`
	// Metrics are figures by name; the suffix of a name is its unit. A run that failed
	// its own check has only the counts of its faults.
	Metrics    map[string]float64   `json:"metrics"`
	Histograms map[string]Histogram `json:"histograms"`
}

// Params that say how a run went, not what was measured: results that differ in
// nothing else are repetitions of each other.
var unjudged = map[string]bool{
	"round": true, "loaded": true, "status": true, "ack": true, "settings": true, "limit": true, "resolution_ms": true, "checked": true,
}

// Status is "" for a result with figures, else why it has none.
func (r *Result) Status() string {
	s, _ := r.Params["status"].(string)
	return s
}

// Loaded says that others kept the machine busy during the run.
func (r *Result) Loaded() bool {
	l, _ := r.Params["loaded"].(bool)
	return l
}

// Failed says that a system broke a promise, as opposed to a run that was not
// possible.
func (r *Result) Failed() bool {
	s := r.Status()
	return len(s) >= len(statusFailed) && s[:len(statusFailed)] == statusFailed
}

// Beginnings of a status.
const (
	statusFailed  = "failed: "
	statusSkipped = "skipped: "
)

func (r *Result) addHistogram(name string, h *Histogram) {
	if h != nil {
		r.Histograms[name] = *h
	}
}

// strip removes the figures of a run that failed, and says why.
func (r *Result) strip(status string, v Verdict) {
	r.Params["status"] = status
	r.Histograms = map[string]Histogram{}
	r.Metrics = map[string]float64{}
	if v != (Verdict{}) {
		r.addVerdict(v)
	}
}

// addVerdict writes the counts that a reader wants to see even when they are 0.
func (r *Result) addVerdict(v Verdict) {
	r.Metrics["early"], r.Metrics["lost"], r.Metrics["duplicates"] = float64(v.Early), float64(v.Lost), float64(v.Duplicates)
	for name, n := range map[string]int64{"altered": v.Altered, "refused": v.Refused, "unacknowledged": v.Unacknowledged} {
		if n > 0 {
			r.Metrics[name] = float64(n)
		}
	}
}

// WriteFile replaces the file at path by f as a whole, so that a reader finds
// valid JSON whenever it looks, and so does who interrupts the run.
func (f *File) WriteFile(path string) error {
	b, err := f.encode()
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer os.Remove(tmp.Name()) // does nothing after the rename
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// encode writes a line per result: a file with histograms stays small, and what
// changed in it can be seen.
func (f *File) encode() ([]byte, error) {
	head := *f
	head.Results = []Result{}
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte("]}"))
	for i := range f.Results {
		line, err := json.Marshal(&f.Results[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, '\n'), line...)
	}
	return append(b, "\n]}\n"...), nil
}

// ReadFile reads what WriteFile wrote.
func ReadFile(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	f := new(File)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("read results of %s: %w", path, err)
	}
	if f.Schema != Schema {
		return nil, fmt.Errorf("read results of %s: schema is %q, this program reads %q", path, f.Schema, Schema)
	}
	return f, nil
}
