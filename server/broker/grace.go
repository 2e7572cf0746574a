package broker

import (
	"time"

	"github.com/duelog/duelog/server/remoting"
)

// heartbeatGrace is how long after its start the broker waits for the heartbeats
// of consumers that were there before: they come every 30 s.
const heartbeatGrace = 40 * time.Second

// awaitsHeartbeat tells whether the members of a group may have outlived a restart
// of the broker without knowing: clients reconnect at once, but say what they
// subscribe to with their next heartbeat only.
func (b *Broker) awaitsHeartbeat(group *Group) bool {
	return b.groups.saved[group.Name] && time.Since(b.started) < heartbeatGrace
}

// unfiltered lets every tag pass. Clients compare the tag's text themselves,
// because of hash collisions, so they drop what they did not ask for.
func unfiltered(h *pullHeader) (*filter, *refusal) {
	f, err := parseFilter("*", h.expressionType)
	if err != nil {
		return nil, refuse(remoting.RespSystemError, "filter_type", "%v", err)
	}
	return f, nil
}
