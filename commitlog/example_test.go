package commitlog_test

import (
	"fmt"
	"os"

	"github.com/duelog/duelog/commitlog"
)

// ack prints what became of a record.
type ack struct{ done chan commitlog.Loc }

func (a ack) Complete(_ uint64, it *commitlog.Item, _ int64, err error) {
	if err != nil {
		fmt.Println("not stored:", err)
	}
	a.done <- it.Loc
}

func Example() {
	dir, err := os.MkdirTemp("", "commitlog")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	opts := &commitlog.Options{SegmentSize: 1 << 20}
	l, _, err := commitlog.Open(dir, nil, 0, nil, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	a := ack{done: make(chan commitlog.Loc, 1)}
	record := commitlog.Record{When: 1234, Flags: commitlog.FlagScheduled, Payload: []byte("hello")}
	if err := l.Append(&record, a, 0); err != nil {
		fmt.Println(err)
		return
	}
	loc := <-a.done // durable
	v, err := l.View(loc, 5)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Release()
	fmt.Printf("%v %s\n", loc, v.Bytes())
	// Output: 0:56 hello
}
