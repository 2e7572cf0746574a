package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// Object ids of types, fixed by PostgreSQL.
const (
	oidBytea       = 17
	oidTimestamptz = 1184
)

// epoch is zero of a timestamptz, which counts microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// minusInfinity is the timestamptz before all others.
const minusInfinity = -1 << 63

// appendMessage appends a message whose payload is what fill appends.
func appendMessage(dst []byte, kind byte, fill func([]byte) []byte) []byte {
	dst = append(dst, kind)
	start := len(dst)
	dst = fill(append(dst, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

func appendText(dst []byte, s string) []byte { return append(append(dst, s...), 0) }

// appendQuery appends a simple query, which is answered with ReadyForQuery.
func appendQuery(dst []byte, sql string) []byte {
	return appendMessage(dst, 'Q', func(b []byte) []byte { return appendText(b, sql) })
}

// appendParse appends the preparation of a statement whose parameter types the
// server infers.
func appendParse(dst []byte, name, sql string) []byte {
	return appendMessage(dst, 'P', func(b []byte) []byte {
		return append(appendText(appendText(b, name), sql), 0, 0)
	})
}

// appendRun appends Bind and Execute of a prepared statement. Parameters and
// results are in binary form. Each parameter appends its value.
func appendRun(dst []byte, name string, params ...func([]byte) []byte) []byte {
	dst = appendMessage(dst, 'B', func(b []byte) []byte {
		b = appendText(append(b, 0), name) // the unnamed portal
		b = append(b, 0, 1, 0, 1)          // all parameters binary
		b = binary.BigEndian.AppendUint16(b, uint16(len(params)))
		for _, param := range params {
			start := len(b)
			b = param(append(b, 0, 0, 0, 0))
			binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
		}
		return append(b, 0, 1, 0, 1) // all results binary
	})
	return appendMessage(dst, 'E', func(b []byte) []byte {
		return append(b, 0, 0, 0, 0, 0) // the unnamed portal, all rows
	})
}

// appendSync ends a request; it is answered with ReadyForQuery.
func appendSync(dst []byte) []byte {
	return appendMessage(dst, 'S', func(b []byte) []byte { return b })
}

// appendArray appends an array of one dimension; each appends element i.
func appendArray(dst []byte, oid uint32, n int, each func(dst []byte, i int) []byte) []byte {
	for _, v := range []uint32{1, 0, oid, uint32(n), 1} { // dimensions, NULLs, type, length, first index
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	for i := range n {
		start := len(dst)
		dst = each(append(dst, 0, 0, 0, 0), i)
		binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	}
	return dst
}

// appendTime appends a timestamptz. The zero time is minus infinity.
func appendTime(dst []byte, t time.Time) []byte {
	micros := int64(minusInfinity)
	if !t.IsZero() {
		micros = t.Sub(epoch).Microseconds()
	}
	return binary.BigEndian.AppendUint64(dst, uint64(micros))
}

// query runs statements without parameters over a connection of its own and
// returns the rows of the last as text.
func query(ctx context.Context, port int, sql string) (rows [][]string, err error) {
	c, err := dial(ctx, port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	refused, err := c.do(appendQuery(nil, sql), func(columns [][]byte) error {
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = string(column)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, errors.Join(refused, err)
}
