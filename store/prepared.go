package store

import "github.com/duelog/duelog/delayindex"

// prepared is one sorted second: wholly in memory, being sorted, or streamed from
// the index. Dispatcher goroutine only.
type prepared struct {
	buf    []delayindex.Entry // what is left of the entries in memory
	fromMs int64              // what is not in buf fires then or later

	sorting int                     // entries that are being sorted
	sorted  chan []delayindex.Entry // where they come from
	stream  *pump
	block   []delayindex.Entry // of the pump, when buf is the rest of it
}

// sortAside is from how many entries on a second is sorted on another goroutine:
// some milliseconds, for which nothing would fire.
const sortAside = 32 << 10

// addSecond sorts a bucket and queues it behind the seconds before it.
func (d *due) addSecond(b *bucket, sec int64) {
	if b.len() < sortAside {
		p := prepared{buf: d.sort(b.entries())}
		d.soon(p.buf)
		d.prepared = append(d.prepared, p)
		return
	}
	p := prepared{fromMs: sec * 1000, sorting: b.len(), sorted: make(chan []delayindex.Entry, 1)}
	go func() {
		entries := b.entries()
		delayindex.Sort(entries, nil)
		d.soon(entries)
		p.sorted <- entries
	}()
	d.prepared = append(d.prepared, p)
}

// sort sorts a few entries in their place.
func (d *due) sort(es []delayindex.Entry) []delayindex.Entry {
	if cap(d.scratch) < len(es) {
		d.scratch = make([]delayindex.Entry, len(es))
	}
	delayindex.Sort(es, d.scratch[:len(es)])
	return es
}

// addStream queues an iterator behind the seconds before it and owns it. Nothing
// of it fires before fromMs.
func (d *due) addStream(it delayindex.Iterator, fromMs int64) {
	d.prepared = append(d.prepared, prepared{stream: startPump(it, nil), fromMs: fromMs})
}

// first is the fire time of the next entry, or a time before it while it is not known.
func (p *prepared) first() int64 {
	if len(p.buf) > 0 {
		return p.buf[0].FireMs()
	}
	return p.fromMs
}

// ready makes sure that there is an entry in buf, or that none is due at nowMs: it
// waits only when one may be. It reports whether there are no more.
func (p *prepared) ready(nowMs int64) (ended bool, err error) {
	wait := nowMs >= p.fromMs
	switch {
	case len(p.buf) > 0:
		return false, nil
	case p.sorted != nil:
		p.takeSorted(wait)
		return false, nil
	case p.stream == nil:
		return true, nil
	}
	return p.refill(wait)
}

func (p *prepared) takeSorted(wait bool) {
	if !wait {
		select {
		case p.buf = <-p.sorted:
		default:
			return
		}
	} else {
		p.buf = <-p.sorted
	}
	p.sorted, p.sorting = nil, 0
}

// refill takes the next block of a stream.
func (p *prepared) refill(wait bool) (ended bool, err error) {
	p.stream.giveBack(p.block)
	p.block = nil
	block, ready := []delayindex.Entry(nil), true
	if wait {
		block, err = p.stream.next()
	} else {
		block, ready, err = p.stream.poll()
	}
	if err != nil || !ready || len(block) == 0 {
		return err == nil && ready, err
	}
	p.block, p.buf = block, block
	p.fromMs = block[len(block)-1].FireMs()
	return false, nil
}

// takeUpTo moves the run of entries with a fire time <= ms, at least one.
func (p *prepared) takeUpTo(dst []delayindex.Entry, ms int64, limit int) []delayindex.Entry {
	n := 1
	for n < len(p.buf) && n < limit-len(dst) && p.buf[n].FireMs() <= ms {
		n++
	}
	dst = append(dst, p.buf[:n]...)
	p.buf = p.buf[n:]
	return dst
}

func (p *prepared) close() {
	if p.sorted != nil {
		<-p.sorted // its goroutine ends
	}
	if p.stream != nil {
		p.stream.close()
	}
}
