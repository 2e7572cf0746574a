package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What one client schedules, every other receives, through one broker. Clients
// that the machine cannot run are left out.
func TestClientsUnderstandEachOther(t *testing.T) {
	t.Parallel()
	broker := StartBroker(t, duelogd)
	for _, from := range []Kind{Java55Binary, Go, Python} {
		t.Run("from "+from.Name, func(t *testing.T) {
			t.Parallel()
			sender := &rig{broker: broker, client: StartClient(t, from, broker.NameServer)}
			topic := "from-" + strings.Fields(from.Name)[0]
			sub := Subscription{Topic: topic, Expression: "TagA", Properties: []string{"property"}}
			p, own := listen(t, sender, sub)
			boxes := map[string]*Inbox{from.Name: own}
			for _, to := range []Kind{Java49, Go, Python} {
				command, err := to.driver(broker.NameServer, workDir(t, "home-"+to.Name))
				if err != nil {
					t.Logf("not to %s: %v", to.Name, err)
					continue
				}
				receiver := &rig{broker: broker, client: startClient(t, to, command)}
				_, boxes["to "+to.Name] = listen(t, receiver, sub)
			}
			due := time.Now().Add(2 * time.Second).UnixMilli()
			sent := p.Send(t, Message{
				Topic:      topic,
				Body:       body(&Client{}, "for everyone"),
				Tags:       "TagA",
				Keys:       "one two",
				Properties: map[string]string{"property": "test"},
				Delay:      "__STARTDELIVERTIME",
				Value:      strconv.FormatInt(due, 10),
			})
			for _, box := range boxes {
				got := once(t, box.Await(t, sent, 2*time.Second+late))
				intact(t, sent, got)
				require.GreaterOrEqual(t, got.At, due, "came too early")
			}
		})
	}
}
