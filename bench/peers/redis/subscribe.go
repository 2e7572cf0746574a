package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/bench/peers/consume"
)

const (
	consumers  = 2
	pollEvery  = 2 * time.Millisecond
	claimLimit = 500 // messages a claim returns at most
)

// claim moves due ids to the leases and returns them, then their bodies.
// KEYS: due, lease, body. ARGV: now in ms, limit.
const claim = `
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #ids == 0 then return {} end
redis.call('ZREM', KEYS[1], unpack(ids))
local leases = {}
for i, id in ipairs(ids) do leases[2*i-1] = ARGV[1]; leases[2*i] = id end
redis.call('ZADD', KEYS[2], unpack(leases))
return {ids, redis.call('HMGET', KEYS[3], unpack(ids))}`

// giveBack makes claimed messages due again, up to a limit, and returns how many.
// KEYS: due, lease. ARGV: limit.
const giveBack = `
local ids = redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1)
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], 0, id); redis.call('ZREM', KEYS[2], id) end
return #ids`

// Subscribe implements bench.System.
func (s *System) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	if err := s.returnLeases(ctx); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	reply, err := s.ask(ctx, "SCRIPT", "LOAD", claim)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	digest, ok := reply.([]byte)
	if !ok {
		return nil, fmt.Errorf("subscribe: %w: SCRIPT LOAD gave %v", errProtocol, reply)
	}
	dialOne := func(ctx context.Context) (*conn, error) { return dial(ctx, s.port) }
	return consume.Run(ctx, &s.consumers, consumers, dialOne, func(ctx context.Context, _ int, c *conn) error {
		return c.poll(ctx, string(digest), deliver)
	})
}

// returnLeases gives back what an earlier subscriber did not acknowledge.
func (s *System) returnLeases(ctx context.Context) error {
	for {
		n, err := s.ask(ctx, "EVAL", giveBack, "2", keyDue, keyLease, strconv.Itoa(claimLimit))
		if err != nil {
			return err
		}
		if n == int64(0) {
			return nil
		}
	}
}

// poll claims, delivers and acknowledges until ctx ends. It sleeps when a claim
// did not find all it could carry.
func (c *conn) poll(ctx context.Context, digest string, deliver func([]byte, time.Time)) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		ids, bodies, err := c.claim(digest)
		at := time.Now()
		if err != nil {
			return err
		}
		for _, body := range bodies {
			if b, ok := body.([]byte); ok {
				deliver(b, at)
			}
		}
		if err := c.acknowledge(ids); err != nil {
			return err
		}
		if len(ids) == claimLimit {
			continue
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (c *conn) claim(digest string) (ids, bodies []any, err error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	reply, err := c.do(appendCommand(nil, "EVALSHA", digest, "3", keyDue, keyLease, keyBody,
		now, strconv.Itoa(claimLimit)), 1)
	if err != nil {
		return nil, nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) == 0 {
		return nil, nil, nil
	}
	if len(parts) == 2 {
		ids, _ = parts[0].([]any)
		bodies, _ = parts[1].([]any)
	}
	if len(ids) == 0 || len(ids) != len(bodies) {
		return nil, nil, fmt.Errorf("%w: a claim of %d ids and %d bodies", errProtocol, len(ids), len(bodies))
	}
	return ids, bodies, nil
}

func (c *conn) acknowledge(ids []any) error {
	if len(ids) == 0 {
		return nil
	}
	var request []byte
	for _, command := range [][2]string{{"ZREM", keyLease}, {"HDEL", keyBody}} {
		request = appendLength(request, '*', 2+len(ids))
		request = appendArg(request, command[0])
		request = appendArg(request, command[1])
		for _, id := range ids {
			b, _ := id.([]byte)
			request = appendArg(request, b)
		}
	}
	_, err := c.do(request, 2)
	return err
}
