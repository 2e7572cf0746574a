package remoting

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// readFrames reads all frames of a stream and copies them.
func readFrames(src io.Reader, maxFrame int) (frames [][]byte, err error) {
	f := newFrameReader(maxFrame)
	defer f.release()
	for {
		frame, ok, err := f.next()
		if err != nil {
			return frames, err
		}
		if ok {
			frames = append(frames, bytes.Clone(frame))
			continue
		}
		if n, err := f.fill(src); n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return frames, err
		}
	}
}

func lengthPrefixed(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

func TestFramesComeOutWholeHoweverTheyArrive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	for i := range 300 {
		n := 4 + rnd.IntN(3000)
		if i%50 == 0 {
			n = 100_000 + rnd.IntN(400_000)
		}
		want = append(want, bytes.Repeat([]byte{byte(i)}, n))
	}
	stream := lengthPrefixed(want...)
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(stream),
		"half":    iotest.HalfReader(bytes.NewReader(stream)),
		"pieces":  &chopped{b: stream, n: 1237},
	} {
		got, err := readFrames(src, 1<<20)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestFramesComeOutWholeByteByByte(t *testing.T) {
	want := [][]byte{[]byte("four"), bytes.Repeat([]byte("x"), 9000), []byte("last")}
	got, err := readFrames(iotest.OneByteReader(bytes.NewReader(lengthPrefixed(want...))), 1<<20)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestLengthsThatCannotBeAreRefused(t *testing.T) {
	for _, s := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x03abc", "\x00\x00\x10\x01", "\xff\xff\xff\xff", "GET / HTTP/1.1\r\n"} {
		frames, err := readFrames(bytes.NewReader([]byte(s)), 4096)
		require.ErrorIs(t, err, ErrFrameSize)
		require.Empty(t, frames)
	}
}

func TestForeignProtocolsAreNamed(t *testing.T) {
	for s, want := range map[string]string{
		"GET / HTTP/1.1\r\n": "HTTP", "\x16\x03\x01\x02\x00\x01": "TLS", "SSH-2.0-x": "SSH", "PROXY TCP4 ": "PROXY",
	} {
		_, err := readFrames(bytes.NewReader([]byte(s)), 16<<20)
		require.ErrorContains(t, err, want)
	}
}

func TestALyingLengthAllocatesNothing(t *testing.T) {
	f := newFrameReader(16 << 20)
	defer f.release()
	src := bytes.NewReader(binary.BigEndian.AppendUint32(nil, 16<<20))
	_, err := f.fill(src)
	require.NoError(t, err)
	for range 3 {
		_, ok, err := f.next()
		require.NoError(t, err)
		require.False(t, ok)
		_, _ = f.fill(bytes.NewReader(make([]byte, 100)))
	}
	require.LessOrEqual(t, len(f.buf), firstBuffer)
}

func TestABusyConnectionIsReadInLargePieces(t *testing.T) {
	frames := make([][]byte, 1000)
	for i := range frames {
		frames[i] = make([]byte, 1300)
	}
	stream := lengthPrefixed(frames...)
	src := &countedReads{Reader: bytes.NewReader(stream)}
	got, err := readFrames(src, 1<<20)
	require.NoError(t, err)
	require.Len(t, got, len(frames))
	require.Less(t, src.n, 2*len(stream)/baseBuffer, "reads of %d bytes", len(stream))
}

type countedReads struct {
	io.Reader
	n int
}

func (c *countedReads) Read(b []byte) (int, error) {
	c.n++
	return c.Reader.Read(b)
}

func TestTheBufferShrinksAfterALargeFrame(t *testing.T) {
	f := newFrameReader(16 << 20)
	defer f.release()
	src := bytes.NewReader(lengthPrefixed(make([]byte, 3<<20)))
	for {
		if _, ok, err := f.next(); ok {
			break
		} else {
			require.NoError(t, err)
		}
		_, err := f.fill(src)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, len(f.buf), 3<<20)
	_, _ = f.fill(src)
	require.Equal(t, baseBuffer, len(f.buf))
}

func FuzzFrame(f *testing.F) {
	f.Add(lengthPrefixed([]byte("four"), []byte("hello")), uint16(3))
	f.Add([]byte("\x00\x00\x00\x03abc"), uint16(1))
	f.Add(lengthPrefixed(make([]byte, 20_000), []byte("next")), uint16(999))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		const limit = 1 << 16
		want, wantErr := naiveFrames(stream, limit)
		src := &chopped{b: stream, n: int(piece%5000) + 1}
		got, err := readFrames(src, limit)
		require.Equal(t, want, got)
		require.Equal(t, wantErr, err != nil)
	})
}

func naiveFrames(b []byte, limit int) (frames [][]byte, bad bool) {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint32(b))
		if n < 4 || n > limit {
			return frames, true
		}
		if len(b) < 4+n {
			break
		}
		frames = append(frames, bytes.Clone(b[4:4+n]))
		b = b[4+n:]
	}
	return frames, false
}

// chopped returns a stream in pieces of n bytes.
type chopped struct {
	b []byte
	n int
}

func (p *chopped) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(len(p.b), p.n)])
	p.b = p.b[n:]
	return n, nil
}
