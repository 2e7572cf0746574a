package postgres

import (
	"bufio"
	"context"
	"fmt"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

// defaultBatch is how many rows share a commit.
const defaultBatch = 500

const insert = `INSERT INTO message SELECT * FROM unnest($1::timestamptz[], $2::bytea[])`

// Publisher implements bench.System. A batch is one INSERT and commit.
func (s *System) Publisher(ctx context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	c, err := s.prepare(ctx, "insert", insert)
	if err != nil {
		return nil, fmt.Errorf("open a publisher: %w", err)
	}
	batch := o.Batch
	if batch == 0 {
		batch = defaultBatch
	}
	return pipeline.New(c.nc, c.r, codec{c}, batch, o.Acked), nil
}

// prepare opens a connection with one prepared statement.
func (s *System) prepare(ctx context.Context, name, sql string) (*conn, error) {
	c, err := dial(ctx, s.port)
	if err != nil {
		return nil, err
	}
	refused, err := c.do(appendSync(appendParse(nil, name, sql)), nil)
	if refused != nil {
		err = refused
	}
	if err != nil {
		_ = c.Close() // It was not used.
		return nil, err
	}
	return c, nil
}

// codec implements pipeline.Codec for the publisher's connection.
type codec struct{ c *conn }

// Append implements pipeline.Codec.
func (codec) Append(dst []byte, batch []pipeline.Message) []byte {
	due := func(b []byte, i int) []byte { return appendTime(b, batch[i].Due) }
	body := func(b []byte, i int) []byte { return append(b, batch[i].Body...) }
	return appendSync(appendRun(dst, "insert",
		func(b []byte) []byte { return appendArray(b, oidTimestamptz, len(batch), due) },
		func(b []byte) []byte { return appendArray(b, oidBytea, len(batch), body) },
	))
}

// Read implements pipeline.Codec. A batch is inserted as a whole or not at all.
func (c codec) Read(_ *bufio.Reader, n int, result func(error)) error {
	refused, err := c.c.readResult(nil)
	if err != nil {
		return err
	}
	for range n {
		result(refused)
	}
	return nil
}
