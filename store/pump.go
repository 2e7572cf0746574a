package store

import (
	"sync"

	"github.com/duelog/duelog/delayindex"
)

const (
	streamBlock = 4096
	// pumpBlocks is how many blocks a pump has: 2 MiB, so that it is some ten
	// milliseconds ahead and bodies can be asked for.
	pumpBlocks = 16
)

// pump reads an iterator ahead on a goroutine of its own, so that who fires does
// not wait for the disk. All methods are for one goroutine.
type pump struct {
	full chan []delayindex.Entry // closed at the end
	free chan []delayindex.Entry
	stop chan struct{}
	done sync.WaitGroup
	err  error // valid when full is closed
}

// startPump takes it over. wake, which may be nil, is called when there is
// something to take.
func startPump(it delayindex.Iterator, wake func()) *pump {
	p := &pump{
		full: make(chan []delayindex.Entry, pumpBlocks),
		free: make(chan []delayindex.Entry, pumpBlocks), // all blocks begin here, so that sending to full never waits
		stop: make(chan struct{}),
	}
	for range cap(p.free) {
		p.free <- nil
	}
	if wake == nil {
		wake = func() {}
	}
	p.done.Go(func() { p.run(it, wake) })
	return p
}

func (p *pump) run(it delayindex.Iterator, wake func()) {
	defer wake()
	defer close(p.full)
	defer it.Close()
	for {
		var block []delayindex.Entry
		select {
		case block = <-p.free:
		case <-p.stop:
			return
		}
		if block == nil {
			block = make([]delayindex.Entry, streamBlock)
		}
		n, err := it.Next(block[:cap(block)])
		if err != nil || n == 0 {
			p.err = err
			return
		}
		p.full <- block[:n]
		wake()
	}
}

// next waits for a block; an empty one is the end or an error. The caller gives
// the block back.
func (p *pump) next() ([]delayindex.Entry, error) {
	block, more := <-p.full
	if !more {
		return nil, p.err
	}
	return block, nil
}

// poll is next without waiting; ready is false when there is nothing yet.
func (p *pump) poll() (block []delayindex.Entry, ready bool, err error) {
	select {
	case block, more := <-p.full:
		if !more {
			return nil, true, p.err
		}
		return block, true, nil
	default:
		return nil, false, nil
	}
}

// giveBack returns a block of next or poll, which is not used any more.
func (p *pump) giveBack(block []delayindex.Entry) {
	if cap(block) > 0 {
		p.free <- block
	}
}

// close stops reading and closes the iterator.
func (p *pump) close() {
	close(p.stop)
	p.done.Wait()
}
