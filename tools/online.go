package tools

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/remoting"
)

// cluster is how the verbs that talk to brokers reach them.
type cluster struct {
	e       *env
	namesrv string
	timeout time.Duration
}

// namesrvEnv names the name server when --namesrv does not.
const namesrvEnv = "DUELOG_NAMESRV"

// newCluster adds the flags of a verb that talks to brokers.
func newCluster(e *env, cmd *cobra.Command) *cluster {
	c := &cluster{e: e}
	def := e.getenv(namesrvEnv)
	if def == "" {
		def = client.DefaultNameServer
	}
	cmd.Flags().StringVar(&c.namesrv, "namesrv", def, "`HOST:PORT` of the name server; also "+namesrvEnv)
	cmd.Flags().DurationVar(&c.timeout, "timeout", client.DefaultTimeout, "longest time that a request may take")
	return c
}

// with runs f with a client of the cluster.
func (c *cluster) with(f func(cl *client.Client) error) error {
	if c.timeout <= 0 {
		return usagef("--timeout %v: it must be positive", c.timeout)
	}
	cl := client.New(&client.Options{NameServer: c.namesrv, Timeout: c.timeout})
	err := f(cl)
	_ = cl.Close() // what was to be said over it is said
	return c.explain(err)
}

// eachBroker runs f for every broker of the cluster.
func (c *cluster) eachBroker(ctx context.Context, f func(cl *client.Client, b client.Broker) error) error {
	return c.with(func(cl *client.Client) error {
		brokers, err := cl.Brokers(ctx)
		if err != nil {
			return err
		}
		for _, b := range brokers {
			if err := f(cl, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// rows ends t with what f adds to it for every broker of the cluster.
func (c *cluster) rows(ctx context.Context, t *table, f func(cl *client.Client, b client.Broker) error) error {
	return endRows(t, c.eachBroker(ctx, f))
}

// verbsOf is a command that has only verbs.
func verbsOf(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: unknownVerb, RunE: verbMissing}
	cmd.AddCommand(verbs...)
	return cmd
}

// explain adds the next step to an error of the cluster that has none.
func (c *cluster) explain(err error) error {
	var refused *client.RefusedError
	var network *net.OpError
	switch {
	case err == nil, nextStep(err) != "", errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused):
		return explainRefusal(err, refused.Code)
	case errors.As(err, &network) && network.Op == "dial":
		return hint(err, "start duelogd, or name the name server of one that runs with --namesrv HOST:PORT (it is asked at %s now)", c.namesrv)
	}
	return hint(err, "is %s the name server of a duelogd that is well? it prints its addresses when it starts; name another with --namesrv HOST:PORT", c.namesrv)
}

func explainRefusal(err error, code int32) error {
	switch code {
	case remoting.RespTopicNotExist:
		return hint(err, "duelogctl topics, or create it: duelogctl topic create NAME")
	case remoting.RespSubscriptionGroupAbsent:
		return hint(err, "duelogctl groups")
	case remoting.RespRequestCodeNotSupported:
		return hint(err, "this needs a duelog broker of this version; look at what runs there: duelogctl stats")
	case remoting.RespMessageIllegal:
		return hint(err, "change the message as it says; the limits max-delay and max-message-size are settings: duelogd --print-config")
	case remoting.RespInvalidParameter:
		return hint(err, "change what it names; topics and their queues: duelogctl topics --all")
	case remoting.RespNoPermission:
		return hint(err, "look at the column PERM: duelogctl topics --all; allow it: duelogctl topic create NAME --perm rw")
	case remoting.RespServiceNotAvailable:
		return hint(err, "look at the broker's log and at its disk: df -h")
	}
	return hint(err, "the broker's log has the details; its settings: duelogd --print-config")
}
