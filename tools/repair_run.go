package tools

import (
	"github.com/duelog/duelog/delayindex"
)

// writeRun begins to write what is in the memtable as a run that ends at end.
func (c *laneCopy) writeRun(end int64) error {
	c.added, c.ran = 0, end
	if err := c.running.wait(); err != nil || !c.index.Freeze() {
		return err
	}
	return c.running.start(func() error {
		ri, wrote, err := c.index.Flush(nil)
		if err != nil {
			return err
		}
		if err := c.index.Install(ri, wrote); err != nil || !wrote {
			return err
		}
		c.r.madeMu.Lock()
		defer c.r.madeMu.Unlock()
		c.r.addRun(c.lane, ri)
		return nil
	})
}

// addRun registers a run. It is called with madeMu held.
func (r *repair) addRun(lane uint8, ri delayindex.RunInfo) {
	if r.made.Runs == nil {
		r.made.Runs = map[uint8][]delayindex.RunInfo{}
	}
	r.made.Runs[lane] = append(r.made.Runs[lane], ri)
}
