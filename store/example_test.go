package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/duelog/duelog/store"
)

// notify is a Watcher that signals a channel.
type notify chan struct{}

func (n notify) Wake() { n <- struct{}{} }

// Example embeds the engine: it schedules a message, waits until the message is
// due and reads it.
func Example() {
	dir, err := os.MkdirTemp("", "duelog-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// Small files suit an example; the defaults suit a broker.
	s, err := store.Open(dir, &store.Options{SegmentSize: 1 << 20, DelaySegmentSize: 1 << 20, JournalSegmentSize: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	orders, err := s.Queue("orders", 0)
	if err != nil {
		log.Fatal(err)
	}
	due := time.Now().Add(50 * time.Millisecond).UnixMilli()
	if _, err := s.Put(context.Background(), &store.Message{
		Queue: orders, FireMs: due, Payload: []byte("close order 42 if it is unpaid"),
	}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", s.Pending())

	woken := make(notify, 1)
	if orders.Watch(0, woken) {
		<-woken
	}
	var d [1]store.Delivery
	if _, err := orders.Read(0, d[:]); err != nil {
		log.Fatal(err)
	}
	v, err := s.Read(d[0].Loc, d[0].Size)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Release()
	fmt.Printf("%s, early: %v\n", v.Bytes(), d[0].DeliverMs < due)

	// Output:
	// pending: 1
	// close order 42 if it is unpaid, early: false
}
