package redis

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

// Keys.
const (
	keyDue   = "due"   // sorted set: id by due time in ms
	keyLease = "lease" // sorted set: claimed ids by the time of the claim in ms
	keyBody  = "body"  // hash: body by id
)

// commandsPerBatch: MULTI, ZADD, HSET, EXEC.
const commandsPerBatch = 4

// codec implements pipeline.Codec. A batch is one transaction.
type codec struct{}

// Append implements pipeline.Codec.
func (codec) Append(dst []byte, batch []pipeline.Message) []byte {
	dst = appendCommand(dst, "MULTI")
	dst = appendLength(dst, '*', 2+2*len(batch))
	dst = appendArg(dst, "ZADD")
	dst = appendArg(dst, keyDue)
	for i := range batch {
		var score [20]byte
		dst = appendArg(dst, strconv.AppendInt(score[:0], dueMs(batch[i].Due), 10))
		dst = appendID(dst, batch[i].ID)
	}
	dst = appendLength(dst, '*', 2+2*len(batch))
	dst = appendArg(dst, "HSET")
	dst = appendArg(dst, keyBody)
	for i := range batch {
		dst = appendID(dst, batch[i].ID)
		dst = appendArg(dst, batch[i].Body)
	}
	return appendCommand(dst, "EXEC")
}

// Read implements pipeline.Codec. A transaction succeeds or fails as a whole.
func (codec) Read(r *bufio.Reader, n int, result func(error)) error {
	var refused error
	for range commandsPerBatch {
		reply, err := readReply(r, 0)
		if err != nil {
			return err
		}
		if err := refusal(reply); err != nil && refused == nil {
			refused = err
		}
	}
	for range n {
		result(refused)
	}
	return nil
}

// refusal finds an error in a reply, or in the results of EXEC.
func refusal(reply any) error {
	switch v := reply.(type) {
	case serverError:
		return v
	case nil:
		return fmt.Errorf("%w: the transaction was not executed", errProtocol)
	case []any:
		for _, item := range v {
			if err, ok := item.(serverError); ok {
				return err
			}
		}
	}
	return nil
}

func appendID(dst []byte, id uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	return appendArg(dst, b[:])
}

// dueMs returns the score. What is due at once comes before all else.
func dueMs(due time.Time) int64 {
	if due.IsZero() {
		return 0
	}
	return due.UnixMilli()
}
