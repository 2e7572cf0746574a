package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/duelog/duelog/internal/durable"
)

// manifest is the file MANIFEST: an append-only log of opaque payloads, each
// in a checksummed record. An append is durable when it returns, and after a
// crash it is there as a whole or not at all, however many records it has.
// Not safe for concurrent use.
//
// All integers are little endian. The file starts with a header,
//
//	0       4         8         12       16
//	+-------+---------+---------+--------+
//	| magic | version | durable | crc32c |
//	+-------+---------+---------+--------+
//
// where durable is the number of an append that is durable, by which all before
// it are. It is written in place after each sync, without one of its own, so the
// last that a power loss leaves may be low, but none is too high; 0 in files of
// programs that did not know it. The file goes on with records,
//
//	0       4        8     16
//	+-------+--------+-----+---------+
//	| bytes | crc32c | seq | payload |
//	+-------+--------+-----+---------+
//
// whose crc32c covers bytes, seq and the payload. seq is the number of the
// append, from 1, shifted by 16, plus how many records of the same append
// follow. See manifest_scan.go for what that is good for.
type manifest struct {
	path    string
	file    *os.File
	end     int64  // where the next record goes
	last    uint64 // number of the last append
	dropped int64  // bytes of a torn append that open cut off
	failed  error  // why nothing can be appended any more
}

// Part of the file format; do not change.
const (
	manifestMagic        = 0x464d4c44 // "DLMF"
	manifestVersion      = 1
	manifestHeaderSize   = 16
	manifestRecordHeader = 16
	manifestSeqShift     = 16

	maxManifestPayload = 16 << 20
	maxManifestBatch   = 1 << manifestSeqShift // records in one append
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openManifest opens the log at path, or makes an empty one, and returns the
// payloads of all appends in order. An append at the end that a crash tore is
// cut off. Damage anywhere else is a *commitlog.CorruptionError, a file of a
// newer program commitlog.ErrVersion; the file is then left as it is.
func openManifest(path string) (*manifest, [][]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		m, err := createManifest(path)
		return m, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open manifest: %w", err)
	}
	scan, err := scanManifest(path, b)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open manifest: %w", err)
	}
	m := &manifest{path: path, file: f, end: scan.end, last: scan.last, dropped: int64(len(b)) - scan.end}
	if err := m.settle(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open manifest: %w", err), f.Close())
	}
	return m, scan.payloads, nil
}

func createManifest(path string) (*manifest, error) {
	m := &manifest{path: path}
	if err := m.replace(nil); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// settle makes durable what was read. The process that wrote it may have been
// killed before its sync; what we now act upon must not vanish any more.
func (m *manifest) settle() error {
	if m.dropped > 0 {
		if err := durable.Truncate(m.file, m.end); err != nil {
			return err
		}
	}
	if err := durable.Datasync(m.file); err != nil {
		return err
	}
	m.vouch()
	return durable.SyncDir(filepath.Dir(m.path))
}

// vouch writes into the header that the last append is durable, so that damage to
// it is not taken for an append that a crash tore. What fails here fails after
// the append was acknowledged: without space the header stays low, which costs no
// more than that certainty; after any other error nothing more is appended.
func (m *manifest) vouch() {
	_, err := durable.WriteAt(m.file, appendManifestHeader(nil, m.last), 0)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		m.failed = err
	}
}

// append adds the payloads with one write and makes them durable, all or none.
// A write that found no space is taken back and may be tried again. After any
// other failed write, or a failed sync, nobody knows what the disk holds, and
// every further append is ErrReadOnly until the manifest is opened again.
func (m *manifest) append(payloads ...[]byte) error {
	if m.failed != nil {
		return fmt.Errorf("append to %s, which failed before (%w): %w", m.path, m.failed, ErrReadOnly)
	}
	if m.file == nil {
		return ErrClosed
	}
	if len(payloads) == 0 {
		return nil
	}
	if err := checkManifestBatch(payloads); err != nil {
		return fmt.Errorf("append to %s: %w", m.path, err)
	}
	b := appendManifestBatch(nil, m.last+1, payloads)
	_, err := durable.WriteAt(m.file, b, m.end)
	noSpace := errors.Is(err, syscall.ENOSPC) && durable.Truncate(m.file, m.end) == nil
	if err == nil {
		err = durable.Datasync(m.file)
	}
	if err != nil {
		if !noSpace {
			m.failed = err
		}
		return fmt.Errorf("append to %s: %w", m.path, err)
	}
	m.end += int64(len(b))
	m.last++
	m.vouch()
	return nil
}

// size returns the length of the file in bytes.
func (m *manifest) size() int64 { return m.end }

// rewrite replaces the whole content durably and atomically; later appends
// follow the snapshot. If it fails, the old content is in force, and appending
// goes on unless it is unknown which of the two a crash would leave.
func (m *manifest) rewrite(snapshot [][]byte) error {
	if m.failed != nil {
		return fmt.Errorf("rewrite %s, which failed before (%w): %w", m.path, m.failed, ErrReadOnly)
	}
	if m.file == nil {
		return ErrClosed
	}
	return m.replace(snapshot)
}

func (m *manifest) replace(snapshot [][]byte) error {
	if err := checkManifestPayloads(snapshot); err != nil {
		return fmt.Errorf("rewrite %s: %w", m.path, err)
	}
	next, err := writeManifest(m.path+".tmp", snapshot)
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", m.path, err)
	}
	if err := durable.Rename(next.path, m.path); err != nil {
		return errors.Join(fmt.Errorf("rewrite manifest: %w", err), next.close(), durable.Remove(next.path))
	}
	old := m.file
	m.file, m.end, m.last = next.file, next.end, next.last
	if old != nil {
		_ = old.Close() // unlinked; all it held is in the new one
	}
	if err := durable.SyncDir(filepath.Dir(m.path)); err != nil {
		m.failed = err
		return fmt.Errorf("rewrite %s: %w", m.path, err)
	}
	return nil
}

// writeManifest makes a durable file at path; its name is not durable yet.
func writeManifest(path string, payloads [][]byte) (*manifest, error) {
	f, err := durable.Create(path)
	if err != nil {
		return nil, err
	}
	m := &manifest{path: path, file: f}
	err = m.write(appendManifestHeader(nil, 0))
	for len(payloads) > 0 && err == nil {
		n := manifestPiece(payloads)
		m.last++
		err = m.write(appendManifestBatch(nil, m.last, payloads[:n]))
		payloads = payloads[n:]
	}
	if err == nil { // nobody reads it before the sync
		_, err = durable.WriteAt(f, appendManifestHeader(nil, m.last), 0)
	}
	if err == nil {
		err = durable.Datasync(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), durable.Remove(path))
	}
	return m, nil
}

// manifestPiece returns how many of the payloads make a batch of about a MiB.
func manifestPiece(payloads [][]byte) int {
	bytes := 0
	for i, p := range payloads {
		bytes += len(p)
		if bytes >= 1<<20 || i+1 == maxManifestBatch {
			return i + 1
		}
	}
	return len(payloads)
}

func (m *manifest) write(b []byte) error {
	n, err := durable.WriteAt(m.file, b, m.end)
	m.end += int64(n)
	return err
}

// close is idempotent. Everything appended is durable already.
func (m *manifest) close() error {
	if m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return f.Close()
}

func checkManifestBatch(payloads [][]byte) error {
	if len(payloads) > maxManifestBatch {
		return fmt.Errorf("%d records in one append: %w", len(payloads), ErrTooLarge)
	}
	return checkManifestPayloads(payloads)
}

func checkManifestPayloads(payloads [][]byte) error {
	for _, p := range payloads {
		if len(p) > maxManifestPayload {
			return fmt.Errorf("record of %d bytes: %w", len(p), ErrTooLarge)
		}
	}
	return nil
}

// appendManifestHeader appends the header of a file whose appends up to number
// number are durable.
func appendManifestHeader(dst []byte, number uint64) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = le.AppendUint32(dst, manifestMagic)
	dst = le.AppendUint32(dst, manifestVersion)
	dst = le.AppendUint32(dst, uint32(min(number, math.MaxUint32)))
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendManifestBatch appends the records of append number number.
func appendManifestBatch(dst []byte, number uint64, payloads [][]byte) []byte {
	le := binary.LittleEndian
	for i, p := range payloads {
		start := len(dst)
		dst = le.AppendUint32(dst, uint32(len(p)))
		dst = le.AppendUint32(dst, 0)
		dst = le.AppendUint64(dst, number<<manifestSeqShift|uint64(len(payloads)-1-i))
		dst = append(dst, p...)
		le.PutUint32(dst[start+4:], manifestChecksum(dst[start:]))
	}
	return dst
}

// manifestChecksum covers a record but the checksum itself.
func manifestChecksum(record []byte) uint32 {
	crc := crc32.Update(0, castagnoli, record[:4])
	return crc32.Update(crc, castagnoli, record[8:])
}
