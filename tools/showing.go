package tools

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// showing is what verbs have in common that show the messages of a topic as they become
// visible.
type showing struct {
	*cluster
	tags   string
	body   string
	max    int
	follow bool
}

// flags adds the flags; tags explains --tags.
func (s *showing) flags(e *env, cmd *cobra.Command, tags string) {
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.StringVar(&s.tags, "tags", "", tags)
	f.IntVar(&s.max, "max", 0, "stop after so many messages; 0 is never")
	f.BoolVar(&s.follow, "follow", true, "wait for more at the end")
	bodyFlag(cmd, &s.body)
}

// reader is who reads the queues.
type reader struct {
	group string
	// may refuses to read queues; nil is never.
	may func(ctx context.Context, cl *client.Client, queues []client.Queue) error
	// start says where a queue begins.
	start func(ctx context.Context, cl *client.Client, q client.Queue) (int64, error)
	// shown is told that everything before next was shown, or passed over; may be nil.
	shown func(ctx context.Context, cl *client.Client, q client.Queue, next int64) error
}

// show shows the messages of a topic; if there is none, it says none.
func (s *showing) show(ctx context.Context, topic string, r *reader, none string) error {
	if err := checkBody(s.body); err != nil {
		return err
	}
	return s.with(func(cl *client.Client) error {
		route, err := cl.Route(ctx, topic)
		if err != nil {
			return err
		}
		if r.may != nil {
			if err := r.may(ctx, cl, route.Read); err != nil {
				return err
			}
		}
		rows := newMessageRows(s.e, s.body)
		rows.orSay("%s", none)
		left := s.max
		f := following{e: s.e, cl: cl, group: r.group, tags: s.tags, follow: s.follow}
		f.start = func(ctx context.Context, q client.Queue) (int64, error) { return r.start(ctx, cl, q) }
		if r.shown != nil {
			f.passed = func(ctx context.Context, q client.Queue, next int64) error { return r.shown(ctx, cl, q, next) }
		}
		f.take = func(ctx context.Context, q client.Queue, ms []message.Message) (done bool, err error) {
			for i := range ms {
				rows.put(q, &ms[i])
				if left--; left == 0 {
					rows.flush()
					if f.passed != nil {
						err = f.passed(ctx, q, ms[i].QueueOffset+1)
					}
					return true, err
				}
			}
			rows.flush() // before anybody is told that they were shown
			return false, s.e.out.bad
		}
		return endRows(rows.table, f.run(ctx, route.Read))
	})
}

// endRows ends a table also when what filled it was cut short.
func endRows(t *table, err error) error {
	if err != nil {
		t.none = "" // it is not known
	}
	if cerr := t.close(); err == nil {
		err = cerr
	}
	return err
}
