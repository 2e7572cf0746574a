package delayindex

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// fence describes one block of entries.
type fence struct {
	first uint64 // fire time of its first entry
	at    int64  // where it begins in the file
	size  uint32 // bytes
	crc   uint32
}

// hourStart says where the entries of an hour begin.
type hourStart struct {
	hour  uint32 // since the epoch
	first uint32 // index of its first entry
}

// directory finds times in a run without reading its entries.
type directory struct {
	info   RunInfo
	fences []fence
	hours  []hourStart
}

// locate returns between which indexes the first entry at or after ms lies; its
// index is in [lo, hi], and both ends are within one block.
func (d *directory) locate(ms uint64) (lo, hi int64) {
	if ms <= uint64(d.info.MinFireMs) {
		return 0, 0
	}
	if ms > uint64(d.info.MaxFireMs) {
		return d.info.Count, d.info.Count
	}
	fenceLo, fenceHi := d.locateByFence(ms)
	hourLo, hourHi := d.locateByHour(ms)
	lo, hi = max(fenceLo, hourLo), min(fenceHi, hourHi)
	return min(lo, hi), hi
}

func (d *directory) locateByFence(ms uint64) (lo, hi int64) {
	block := sort.Search(len(d.fences), func(i int) bool { return d.fences[i].first >= ms })
	if block == 0 {
		return 0, 0
	}
	lo = int64(block-1) * blockEntries
	return lo, min(lo+blockEntries, d.info.Count)
}

func (d *directory) locateByHour(ms uint64) (lo, hi int64) {
	hour := uint32(ms / hourMs)
	i := sort.Search(len(d.hours), func(i int) bool { return d.hours[i].hour >= hour })
	lo = d.hourFirst(i)
	if i == len(d.hours) || d.hours[i].hour > hour || ms%hourMs == 0 {
		return lo, lo
	}
	return lo, d.hourFirst(i + 1)
}

func (d *directory) hourFirst(i int) int64 {
	if i >= len(d.hours) {
		return d.info.Count
	}
	return int64(d.hours[i].first)
}

// count returns at least the number of entries in [from, to), and at most the
// entries of two blocks or two hours more.
func (d *directory) count(from, to uint64) int64 {
	lo, _ := d.locate(from)
	_, hi := d.locate(to)
	return max(hi-lo, 0)
}

// note extends the directory by the block f of entries that begin at index first.
func (d *directory) note(es []Entry, f fence, first int64) {
	f.first = es[0].fire()
	d.fences = append(d.fences, f)
	for i := range es {
		d.noteHour(es[i].fire(), first+int64(i))
	}
}

func (d *directory) noteHour(fire uint64, index int64) {
	hour := uint32(fire / hourMs)
	if n := len(d.hours); n == 0 || d.hours[n-1].hour != hour {
		d.hours = append(d.hours, hourStart{hour: hour, first: uint32(index)})
	}
}

// encode returns the block table followed by the hours of a run of count entries.
func (d *directory) encode(count int64) []byte {
	b := make([]byte, 0, len(d.fences)*int(fenceSize(runVersion))+len(d.hours)*3+16)
	for _, f := range d.fences {
		b = binary.LittleEndian.AppendUint64(b, f.first)
		b = binary.LittleEndian.AppendUint32(b, f.crc)
		b = binary.LittleEndian.AppendUint32(b, f.size)
	}
	before := uint32(0)
	for i, h := range d.hours {
		end := count
		if i+1 < len(d.hours) {
			end = int64(d.hours[i+1].first)
		}
		b = binary.AppendUvarint(b, uint64(h.hour-before))
		b = binary.AppendUvarint(b, uint64(end-int64(h.first)))
		before = h.hour
	}
	return b
}

// decode fills the directory from b, whose length fits the two counts of foot.
func (d *directory) decode(b []byte, version uint16, foot *footer) error {
	d.fences = make([]fence, foot.fences)
	at, rest := int64(headerSize), d.info.Count
	for i := range d.fences {
		f := &d.fences[i]
		f.at, f.first, f.crc = at, binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		if version == 1 {
			f.size = uint32(min(rest, blockEntries) * EntrySize)
		} else {
			f.size = binary.LittleEndian.Uint32(b[12:])
		}
		if f.size > maxBlockBytes {
			return fmt.Errorf("%w: block %d has %d bytes", ErrLayout, i, f.size)
		}
		at, rest = at+int64(f.size), rest-blockEntries
		b = b[fenceSize(version):]
	}
	if at != foot.fencesAt {
		return fmt.Errorf("%w: blocks end at %d, their table begins at %d", ErrLayout, at, foot.fencesAt)
	}
	d.hours = make([]hourStart, foot.hours)
	if version == 1 {
		for i := range d.hours {
			d.hours[i].hour = binary.LittleEndian.Uint32(b)
			d.hours[i].first = binary.LittleEndian.Uint32(b[4:])
			b = b[8:]
		}
	} else if err := d.decodeHours(b); err != nil {
		return err
	}
	return d.validate()
}

// decodeHours reads the hours, each as the distance to the one before it and the
// number of its entries.
func (d *directory) decodeHours(b []byte) error {
	hour, first := uint64(0), uint64(0)
	for i := range d.hours {
		step, n := binary.Uvarint(b)
		count, k := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || k <= 0 || step > maxRunHours || count > uint64(d.info.Count) {
			return fmt.Errorf("%w: hour %d", ErrLayout, i)
		}
		if hour += step; hour > maxRunHours || first >= uint64(d.info.Count) {
			return fmt.Errorf("%w: hour %d is beyond the end", ErrLayout, i)
		}
		d.hours[i] = hourStart{hour: uint32(hour), first: uint32(first)}
		first += count
		b = b[n+k:]
	}
	if first != uint64(d.info.Count) || len(b) > 0 {
		return fmt.Errorf("%w: hours have %d of %d entries", ErrLayout, first, d.info.Count)
	}
	return nil
}

// validate checks what the searches rely on.
func (d *directory) validate() error {
	if d.fences[0].first != uint64(d.info.MinFireMs) || d.fences[len(d.fences)-1].first > uint64(d.info.MaxFireMs) {
		return fmt.Errorf("%w: block table does not match fire times", ErrLayout)
	}
	for i := 1; i < len(d.fences); i++ {
		if d.fences[i].first < d.fences[i-1].first {
			return fmt.Errorf("%w: block %d begins before the one before it", ErrLayout, i)
		}
	}
	if d.hours[0].first != 0 || int64(d.hours[len(d.hours)-1].first) >= d.info.Count {
		return fmt.Errorf("%w: hours do not match the number of entries", ErrLayout)
	}
	for i := 1; i < len(d.hours); i++ {
		if d.hours[i].hour <= d.hours[i-1].hour || d.hours[i].first <= d.hours[i-1].first {
			return fmt.Errorf("%w: hour %d does not follow the one before it", ErrLayout, i)
		}
	}
	return nil
}
