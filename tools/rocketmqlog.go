package tools

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/duelog/duelog/server/message"
)

// The commit log of Apache RocketMQ is a chain of files, each named by the offset
// of its first byte and allocated in full. A file holds messages in the stored
// layout of package message back to back, each with its own offset in it, then a
// filler if the next message did not fit, or zeros if the log ends there.

// rocketmqLog reads such a log. It changes nothing.
type rocketmqLog struct {
	files []rocketmqFile
	// damaged is told of bytes [from, to) of a file that are no messages.
	damaged func(path string, from, to int64)
}

type rocketmqFile struct {
	path string
	base int64
	size int64
}

const (
	// rocketmqFiller is the magic of what fills up a file.
	rocketmqFiller = 0xCBD43194
	// rocketmqMagic and rocketmqMagicV2 are those of messages.
	rocketmqMagic   = 0xDAA320A7
	rocketmqMagicV2 = 0xDAA320AB
	// maxRocketmqMessage bounds a message: what is longer is damage.
	maxRocketmqMessage = 64 << 20
	// rocketmqWindow is how much is read at a time.
	rocketmqWindow = 1 << 20
)

// openRocketmqLog lists the files of dir/commitlog.
func openRocketmqLog(dir string) (*rocketmqLog, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	l := &rocketmqLog{damaged: func(string, int64, int64) {}}
	for _, e := range entries {
		base, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || len(e.Name()) != 20 || base < 0 {
			continue // not a file of the log
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			l.files = append(l.files, rocketmqFile{filepath.Join(dir, e.Name()), base, info.Size()})
		}
	}
	slices.SortFunc(l.files, func(a, b rocketmqFile) int { return int(min(max(a.base-b.base, -1), 1)) })
	if len(l.files) == 0 {
		return nil, fmt.Errorf("%s has no file of a commit log", dir)
	}
	return l, nil
}

// each yields every message with its offset in the log, in order. The message is a
// view that ends with the next one. The error is that of the disk; damage is passed
// over and told of.
func (l *rocketmqLog) each() iter.Seq2[message.Message, error] {
	return func(yield func(message.Message, error) bool) {
		for _, f := range l.files {
			s := rocketmqScan{log: l, file: f}
			if more, err := s.run(yield); err != nil || !more {
				if err != nil {
					yield(message.Message{}, err)
				}
				return
			}
		}
	}
}

// rocketmqScan reads one file.
type rocketmqScan struct {
	log  *rocketmqLog
	file rocketmqFile
	f    *os.File
	buf  []byte
	at   int64 // of buf[0] in the file
}

func (s *rocketmqScan) run(yield func(message.Message, error) bool) (more bool, err error) {
	if s.f, err = os.Open(s.file.path); err != nil {
		return false, err
	}
	defer s.f.Close()
	for pos := int64(0); pos+8 <= s.file.size; {
		rec, kind, err := s.record(pos)
		if err != nil {
			return false, err
		}
		switch kind {
		case rocketmqEnd:
			return true, nil
		case rocketmqBad:
			next, err := s.resync(pos + 1)
			if err != nil {
				return false, err
			}
			s.log.damaged(s.file.path, pos, next)
			pos = next
		default:
			var m message.Message
			if err := message.Decode(rec, &m); err != nil {
				panic("BUG: a record that was checked cannot be decoded: " + err.Error())
			}
			if !yield(m, nil) {
				return false, nil
			}
			pos += int64(len(rec))
		}
	}
	return true, nil
}

// What may stand at a position.
type rocketmqKind int

const (
	rocketmqRecord rocketmqKind = iota
	rocketmqEnd                 // filler or zeros: nothing follows in this file
	rocketmqBad
)

// record looks at a position. A message counts only if it says that it stands
// there, so that what an earlier use of the file has left is none.
func (s *rocketmqScan) record(pos int64) ([]byte, rocketmqKind, error) {
	head, err := s.window(pos, 8)
	if err != nil {
		return nil, 0, err
	}
	size, magic := int64(binary.BigEndian.Uint32(head)), binary.BigEndian.Uint32(head[4:])
	switch {
	case magic == rocketmqFiller || size == 0 && magic == 0:
		return nil, rocketmqEnd, nil
	case magic != rocketmqMagic && magic != rocketmqMagicV2, size > maxRocketmqMessage, pos+size > s.file.size, size < 8:
		return nil, rocketmqBad, nil
	}
	b, err := s.window(pos, int(size))
	if err != nil {
		return nil, 0, err
	}
	rec, _, err := message.Split(b[:size])
	var m message.Message
	if err == nil {
		err = message.Decode(rec, &m)
	}
	if err != nil || m.PhysicalOffset != s.file.base+pos {
		return nil, rocketmqBad, nil
	}
	return rec, rocketmqRecord, nil
}

// window returns the bytes from pos on, at least n of them.
func (s *rocketmqScan) window(pos int64, n int) ([]byte, error) {
	if have := s.at + int64(len(s.buf)) - pos; pos >= s.at && have >= int64(n) {
		return s.buf[pos-s.at:], nil
	}
	want := int(min(max(int64(n), rocketmqWindow), s.file.size-pos))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.at, s.buf = pos, s.buf[:want]
	if _, err := s.f.ReadAt(s.buf, pos); err != nil && !errors.Is(err, io.EOF) {
		s.buf = s.buf[:0]
		return nil, fmt.Errorf("read %s: %w", s.file.path, err)
	}
	return s.buf, nil
}

// resync returns where the next message begins, or the end of the file.
func (s *rocketmqScan) resync(pos int64) (int64, error) {
	for ; pos+8 <= s.file.size; pos++ {
		b, err := s.window(pos, 8)
		if err != nil {
			return 0, err
		}
		if magic := binary.BigEndian.Uint32(b[4:]); magic != rocketmqMagic && magic != rocketmqMagicV2 {
			continue
		}
		if _, kind, err := s.record(pos); err != nil || kind == rocketmqRecord {
			return pos, err
		}
	}
	return s.file.size, nil
}
