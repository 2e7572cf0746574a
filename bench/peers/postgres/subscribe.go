package postgres

import (
	"context"
	"time"

	"github.com/duelog/duelog/bench/peers/consume"
)

const (
	consumers = 2
	pollEvery = 10 * time.Millisecond
	takeLimit = 500 // rows of a transaction, as in take
)

// take removes rows that are due and that no other consumer is removing. The
// physical row id spares a second index.
const take = `DELETE FROM message WHERE ctid = ANY(ARRAY(
	SELECT ctid FROM message WHERE due <= now() ORDER BY due LIMIT 500 FOR UPDATE SKIP LOCKED))
	RETURNING body`

// Subscribe implements bench.System.
func (s *System) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	dialOne := func(ctx context.Context) (*conn, error) { return s.prepare(ctx, "take", take) }
	return consume.Run(ctx, &s.consumers, consumers, dialOne, func(ctx context.Context, _ int, c *conn) error {
		return c.poll(ctx, deliver)
	})
}

// poll takes rows until ctx ends. It sleeps when there were fewer than it could
// take.
func (c *conn) poll(ctx context.Context, deliver func([]byte, time.Time)) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	// The transaction stays open after the Sync, because BEGIN has opened it.
	begin := appendSync(appendRun(appendRun(appendParse(nil, "", "BEGIN"), ""), "take"))
	commit := appendQuery(nil, "COMMIT")
	for ctx.Err() == nil {
		n := 0
		err := c.must(begin, func(columns [][]byte) error {
			at := time.Now()
			for _, body := range columns {
				deliver(body, at)
				n++
			}
			return nil
		})
		if err == nil {
			err = c.must(commit, nil)
		}
		if err != nil {
			return err
		}
		if n >= takeLimit {
			continue
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// must is do for requests that are not refused.
func (c *conn) must(request []byte, row func([][]byte) error) error {
	refused, err := c.do(request, row)
	if err == nil {
		err = refused
	}
	return err
}
