package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// namedMissing is how many of the messages that did not come an error names.
	namedMissing = 5
	// findLimit is how long a system may look for all of them.
	findLimit = 20 * time.Second
)

// Missing is a message that was acknowledged, was due and did not come.
type Missing struct {
	ID    uint64    // as it was given to Publisher.Publish
	Due   time.Time // zero: it was ordinary, or its time is in its body only
	Where string    // what the system says of it; "" if it cannot tell
}

// String is its id and what else is known.
func (m *Missing) String() string {
	s := fmt.Sprintf("message %d", m.ID)
	if !m.Due.IsZero() {
		s += " due " + m.Due.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if m.Where != "" {
		s += ": " + m.Where
	}
	return s
}

// describeMissing is the end of an error that has some.
func describeMissing(ms []Missing) string {
	if len(ms) == 0 {
		return ""
	}
	each := make([]string, len(ms))
	for i := range ms {
		each[i] = ms[i].String()
	}
	return "; first of the lost: " + strings.Join(each, "; ")
}

// findMissing adds to err what the system says of the messages that are missing in it.
func (s *stage) findMissing(ctx context.Context, err error, wrote func(id uint64, body []byte) bool) error {
	var bad *VerdictError
	f, ok := s.sys.(Finder)
	if !ok || !errors.As(err, &bad) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	for i := range bad.Missing {
		m := &bad.Missing[i]
		m.Where = f.Find(ctx, m.ID, m.Due, func(body []byte) bool { return wrote(m.ID, body) })
	}
	return err
}
