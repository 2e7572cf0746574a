package e2e

import "testing"

func TestJava49Client(t *testing.T)       { runScenarios(t, Java49) }
func TestJava55Client(t *testing.T)       { runScenarios(t, Java55) }
func TestJava55BinaryClient(t *testing.T) { runScenarios(t, Java55Binary) }
func TestGoClient(t *testing.T)           { runScenarios(t, Go) }
func TestPythonClient(t *testing.T)       { runScenarios(t, Python) }

// rig is what a scenario works with: a broker and a client that talks to it.
type rig struct {
	broker *Broker
	client *Client
}

// scenario is something that must work with each client whose API can do it.
type scenario struct {
	name  string
	needs func(Traits) bool // nil = every client can
	run   func(*testing.T, *rig)
}

var scenarios = []scenario{
	{name: "a scheduled message comes at its time", run: deliversAtItsTime},
	{name: "a time in the past means at once", run: pastMeansAtOnce},
	{name: "many messages come in the order of their times", run: manyInOrder},
	{name: "a refused send is the client's own exception", run: refusalIsAnException},
	{name: "an ordinary message comes at once", run: ordinaryAtOnce},
	{name: "a large body comes intact", run: largeBody},
	{name: "a one-way message comes", run: oneway},
	{name: "a message that is sent asynchronously comes", needs: func(c Traits) bool { return c.Async }, run: async},
	{name: "each message of a batch comes", needs: func(c Traits) bool { return c.Batch }, run: batch},
	{name: "the VIP channel takes messages", needs: func(c Traits) bool { return c.VIP }, run: vip},
	{name: "a tag expression selects", run: tagsSelect},
	{name: "two consumers of a group share the messages", run: twoShare},
	{name: "two groups each get every message", run: groupsAreIndependent},
	{name: "a refused message comes again", run: refusedComesAgain},
	{name: "an ordered consumer sees the order of sending", run: orderedConsumer},
	{name: "a consumer goes on where the last one stopped", run: offsetsAreKept},
	{name: "a transaction comes when it is committed", needs: func(c Traits) bool { return c.Transactions }, run: transactions},
	{name: "a message is found by key and by id", needs: func(c Traits) bool { return c.Queries }, run: queries},
	{name: "a recalled message never comes", needs: func(c Traits) bool { return c.Recalls }, run: recalls},
}

// runScenarios runs everything for one client, on a broker of its own.
func runScenarios(t *testing.T, kind Kind) {
	t.Parallel()
	broker := StartBroker(t, duelogd)
	shared := &rig{broker: broker}
	if !kind.Light {
		shared.client = StartClient(t, kind, broker.NameServer)
	}
	with := func(run func(*testing.T, *rig)) func(*testing.T) {
		return func(t *testing.T) {
			r := *shared
			if kind.Light {
				r.client = StartClient(t, kind, broker.NameServer)
			}
			run(t, &r)
		}
	}
	t.Run("running", func(t *testing.T) {
		for _, s := range scenarios {
			if s.needs != nil && !s.needs(kind.Traits) {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				with(s.run)(t)
			})
		}
	})
	t.Run("a kill loses and repeats nothing", with(survivesKill))
	t.Run("a clean stop keeps everything", with(survivesStop))
}
