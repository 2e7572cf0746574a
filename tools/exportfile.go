package tools

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/duelog/duelog/internal/durable"
)

// exportWriter writes the lines of an export to standard output, or to a file
// that has its name only when it is complete and synced.
type exportWriter struct {
	path string // "" is standard output
	file *os.File
	buf  *bufio.Writer
	zip  *zstd.Encoder
	to   io.Writer
	line bytes.Buffer
	// begun says that something was put.
	begun bool
}

// partial is what the name of an unfinished export ends with.
const partial = ".partial"

func newExportWriter(path string, out io.Writer, zip bool) (*exportWriter, error) {
	w := &exportWriter{path: path, to: out}
	if path != "" {
		f, err := os.Create(path + partial)
		if err != nil {
			return nil, err
		}
		w.file, w.to = f, f
	}
	w.buf = bufio.NewWriterSize(w.to, 256<<10)
	w.to = w.buf
	if zip || strings.HasSuffix(path, ".zst") {
		z, err := zstd.NewWriter(w.buf, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(err, w.abandon())
		}
		w.zip, w.to = z, z
	}
	return w, nil
}

// put writes one line.
func (w *exportWriter) put(v any) error {
	w.begun = true
	w.line.Reset()
	if err := appendJSONLine(&w.line, v); err != nil {
		return err
	}
	_, err := w.to.Write(w.line.Bytes())
	return err
}

// finish gives a file its name, durably.
func (w *exportWriter) finish() error {
	if w.zip != nil {
		if err := w.zip.Close(); err != nil {
			return errors.Join(err, w.abandon())
		}
	}
	if err := w.buf.Flush(); err != nil {
		return errors.Join(err, w.abandon())
	}
	if w.file == nil {
		return nil
	}
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		return errors.Join(err, os.Remove(w.path+partial))
	}
	if err := os.Rename(w.path+partial, w.path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(w.path))
}

// abandon removes what was written to a file.
func (w *exportWriter) abandon() error {
	if w.file == nil && !w.begun {
		return nil
	}
	if w.zip != nil {
		_ = w.zip.Close() // its error is about bytes that nobody wants
	}
	if w.file == nil {
		return w.buf.Flush() // what a reader has it has
	}
	return errors.Join(w.file.Close(), os.Remove(w.path+partial))
}

// exportReader reads the lines of an export.
type exportReader struct {
	name   string
	lines  *bufio.Reader
	close  func() error
	number int // of the line read last
}

const (
	// maxExportLine bounds a line: the largest message in base64, with room.
	maxExportLine = 64 << 20
	// maxExportWindow bounds what a compressed file may make the decoder hold.
	maxExportWindow = 64 << 20
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// openExport opens a file, or standard input for "-". Compression is told by the
// first bytes.
func openExport(path string, in io.Reader) (*exportReader, error) {
	r := &exportReader{name: path, close: func() error { return nil }}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in, r.close = f, f.Close
	} else {
		r.name = "standard input"
	}
	r.lines = bufio.NewReaderSize(in, 256<<10)
	first, err := r.lines.Peek(len(zstdMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read %s: %w", r.name, err), r.close())
	}
	if !bytes.Equal(first, zstdMagic) {
		return r, nil
	}
	z, err := zstd.NewReader(r.lines, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxExportWindow))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", r.name, err), r.close())
	}
	r.lines = bufio.NewReaderSize(z, 256<<10)
	closeFile := r.close
	r.close = func() error { z.Close(); return closeFile() }
	return r, nil
}

// next returns the next line that is not empty; io.EOF is the end.
func (r *exportReader) next() (exportLine, error) {
	var line []byte
	for len(line) == 0 {
		var err error
		if line, err = r.readLine(); err != nil {
			return exportLine{}, err
		}
		line = bytes.TrimSpace(line)
	}
	x, err := parseExportLine(line)
	if err != nil {
		return x, fmt.Errorf("%s, line %d: %w", r.name, r.number, err)
	}
	return x, nil
}

func (r *exportReader) readLine() ([]byte, error) {
	r.number++
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxExportLine:
			return nil, fmt.Errorf("%s, line %d: longer than %d MiB", r.name, r.number, maxExportLine>>20)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
	}
}
