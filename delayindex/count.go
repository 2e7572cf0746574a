package delayindex

// CountExact returns the number of entries that fire in [fromMs, toMs). Unlike
// Count it reads a block of each run in which the range begins or ends.
func (s *Snapshot) CountExact(fromMs, toMs int64) (int64, error) {
	from, to := clampRange(fromMs, toMs)
	if from >= to {
		return 0, nil
	}
	var total int64
	for i := range s.views {
		total += s.views[i].count(from, to)
	}
	for _, r := range s.runs {
		if !r.overlaps(from, to) {
			continue
		}
		first, err := r.indexOf(from)
		if err != nil {
			return 0, err
		}
		end, err := r.indexOf(r.clip(to))
		if err != nil {
			return 0, err
		}
		total += end - first
	}
	return total, nil
}

// indexOf returns the index of the first entry at or after ms.
func (r *run) indexOf(ms uint64) (int64, error) {
	lo, hi := r.locate(ms)
	if lo == hi {
		return lo, nil
	}
	buf := blockPool.Get().(*blockBuffer)
	defer blockPool.Put(buf)
	i := lo / blockEntries
	b, err := r.readBlock(i, buf)
	if err != nil {
		return 0, err
	}
	return i*blockEntries + int64(b.below(ms)), nil
}
