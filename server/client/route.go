package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// Broker is a broker that takes writes.
type Broker struct {
	Name    string
	Cluster string
	Addr    string // HOST:PORT
}

// Queue is one queue of a topic at one broker.
type Queue struct {
	Topic  string
	Broker string // its name
	Addr   string // HOST:PORT
	ID     int32
}

// String names the queue as people write it.
func (q Queue) String() string { return fmt.Sprintf("%s/%s/%d", q.Topic, q.Broker, q.ID) }

// masterID is the number of the broker of a name that takes writes.
const masterID = "0"

type brokerData struct {
	Addrs   map[string]string `json:"brokerAddrs"`
	Name    string            `json:"brokerName"`
	Cluster string            `json:"cluster"`
}

// Brokers returns the brokers of the cluster in the order of their names.
func (c *Client) Brokers(ctx context.Context) ([]Broker, error) {
	r, err := c.nameServer(ctx, remoting.ReqGetBrokerClusterInfo)
	if err != nil {
		return nil, err
	}
	var info struct {
		Table map[string]brokerData `json:"brokerAddrTable"`
	}
	if err := decodeLoose(r.Body, &info); err != nil {
		return nil, fmt.Errorf("read the list of brokers: %w", err)
	}
	var list []Broker
	for _, name := range slices.Sorted(maps.Keys(info.Table)) {
		d := info.Table[name]
		if addr := d.Addrs[masterID]; addr != "" {
			list = append(list, Broker{Name: name, Cluster: d.Cluster, Addr: addr})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the name server knows no broker")
	}
	return list, nil
}

// Topics returns the names of all topics in order.
func (c *Client) Topics(ctx context.Context) ([]string, error) {
	r, err := c.nameServer(ctx, remoting.ReqGetAllTopicsFromNamesrv)
	if err != nil {
		return nil, err
	}
	var list struct {
		Topics []string `json:"topicList"`
	}
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return nil, fmt.Errorf("read the list of topics: %w", err)
	}
	slices.Sort(list.Topics)
	return list.Topics, nil
}

// Permission bits of a topic; part of the protocol.
const (
	PermWrite int32 = 2
	PermRead  int32 = 4
)

// Route is where the queues of a topic are.
type Route struct {
	Read, Write []Queue
}

// Route returns where the queues of a topic are. A topic that does not exist is a
// refusal with remoting.RespTopicNotExist.
func (c *Client) Route(ctx context.Context, topic string) (*Route, error) {
	r, err := c.nameServer(ctx, remoting.ReqGetRouteInfoByTopic, field("topic", topic), field("acceptStandardJsonOnly", "true"))
	if err != nil {
		return nil, err
	}
	var data struct {
		Brokers []brokerData `json:"brokerDatas"`
		Queues  []struct {
			Broker string `json:"brokerName"`
			Perm   int32  `json:"perm"`
			Read   int32  `json:"readQueueNums"`
			Write  int32  `json:"writeQueueNums"`
		} `json:"queueDatas"`
	}
	if err := decodeLoose(r.Body, &data); err != nil {
		return nil, fmt.Errorf("read the route of topic %s: %w", topic, err)
	}
	addrs := map[string]string{}
	for _, b := range data.Brokers {
		addrs[b.Name] = b.Addrs[masterID]
	}
	route := &Route{}
	for _, q := range data.Queues {
		addr := addrs[q.Broker]
		if addr == "" || q.Read > maxQueues || q.Write > maxQueues {
			continue
		}
		if q.Perm&PermRead != 0 {
			route.Read = appendQueues(route.Read, topic, q.Broker, addr, q.Read)
		}
		if q.Perm&PermWrite != 0 {
			route.Write = appendQueues(route.Write, topic, q.Broker, addr, q.Write)
		}
	}
	return route, nil
}

// maxQueues bounds what an answer may make us allocate.
const maxQueues = 1 << 16

func appendQueues(list []Queue, topic, broker, addr string, n int32) []Queue {
	for id := range n {
		list = append(list, Queue{Topic: topic, Broker: broker, Addr: addr, ID: id})
	}
	return list
}
