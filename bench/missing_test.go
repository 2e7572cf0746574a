package bench

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALostMessageIsNamedByTheIdThatItWasPublishedAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, loses)
		_, err := Run(t.Context(), &Fire{N: 100, Within: time.Second, Lead: 3 * time.Second}, target, o)
		var bad *VerdictError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, []Missing{{ID: warmUpMessages + victim}}, bad.Missing)
		require.ErrorContains(t, err, "lost 1, ")
		require.ErrorContains(t, err, "first of the lost: message 2007")
	})
}

func TestOfManyLostMessagesTheFirstAreNamed(t *testing.T) {
	book := newLedger(1, 1000, MinBody, time.Now())
	book.base = 5000
	body := make([]byte, MinBody)
	for id := range uint64(1000) {
		book.ack(id, nil)
		lab := label{series: 1, id: id}
		lab.fill(body)
		require.True(t, book.wrote(5000+id, body))
		require.False(t, book.wrote(id, body))
		if id%100 != 99 {
			book.receive(lab, time.Now())
		}
	}
	var bad *VerdictError
	require.True(t, errors.As(book.check(true), &bad))
	require.EqualValues(t, 10, bad.Lost)
	require.Equal(t, []Missing{{ID: 5099}, {ID: 5199}, {ID: 5299}, {ID: 5399}, {ID: 5499}}, bad.Missing)
	require.NoError(t, book.check(false))
}
