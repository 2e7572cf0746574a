package beanstalkd

import (
	"bufio"
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

// defaultBatch is how many jobs share a write.
const defaultBatch = 256

// timeToRun is after how many seconds a reserved job goes to another consumer.
const timeToRun = 120

// codec implements pipeline.Codec.
type codec struct{}

// Append implements pipeline.Codec.
func (codec) Append(dst []byte, batch []pipeline.Message) []byte {
	now := time.Now()
	for i := range batch {
		dst = appendPut(dst, &batch[i], now)
	}
	return dst
}

// appendPut appends "put <priority> <delay> <ttr> <bytes>" and the body.
func appendPut(dst []byte, m *pipeline.Message, now time.Time) []byte {
	priority, delay := int64(0), int64(0)
	if !m.Due.IsZero() {
		priority, delay = max(0, m.Due.Unix()), wholeSeconds(m.Due.Sub(now))
	}
	dst = append(dst, "put "...)
	for _, n := range []int64{priority, delay, timeToRun, int64(len(m.Body))} {
		dst = append(strconv.AppendInt(dst, n, 10), ' ')
	}
	dst = append(dst[:len(dst)-1], "\r\n"...)
	dst = append(dst, m.Body...)
	return append(dst, "\r\n"...)
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int64 {
	return max(0, int64((d+time.Second-1)/time.Second))
}

// Read implements pipeline.Codec.
func (codec) Read(r *bufio.Reader, n int, result func(error)) error {
	for range n {
		words, err := readLine(r)
		if err != nil {
			return err
		}
		switch words[0] {
		case "INSERTED":
			result(nil)
		case "BURIED", "JOB_TOO_BIG", "DRAINING", "OUT_OF_MEMORY", "INTERNAL_ERROR":
			result(reply{words: words}.err())
		default: // After the others the bytes of a body may be read as commands.
			return fmt.Errorf("%w to put: %v", errProtocol, words)
		}
	}
	return nil
}
