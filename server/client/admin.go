package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// TopicConfig is a topic as a broker has it.
type TopicConfig struct {
	Name        string            `json:"topicName"`
	ReadQueues  int32             `json:"readQueueNums"`
	WriteQueues int32             `json:"writeQueueNums"`
	Perm        int32             `json:"perm"` // PermRead | PermWrite
	Attributes  map[string]string `json:"attributes"`
}

// CreateTopic creates a topic at a broker or replaces its configuration.
func (c *Client) CreateTopic(ctx context.Context, addr string, t *TopicConfig) error {
	_, err := c.Do(ctx, addr, remoting.ReqUpdateAndCreateTopic, nil, CreateTopicFields(t)...)
	return err
}

// CreateTopicFields is the header of the request that CreateTopic makes.
func CreateTopicFields(t *TopicConfig) []remoting.Field {
	return []remoting.Field{
		field("topic", t.Name), field("defaultTopic", templateTopic),
		number("readQueueNums", t.ReadQueues), number("writeQueueNums", t.WriteQueues), number("perm", t.Perm),
		field("topicFilterType", "SINGLE_TAG"), field("topicSysFlag", "0"), field("order", "false"),
	}
}

// DeleteTopic deletes a topic, with all its messages, at every broker and at the
// name server.
func (c *Client) DeleteTopic(ctx context.Context, topic string) error {
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if _, err := c.Do(ctx, b.Addr, remoting.ReqDeleteTopicInBroker, nil, field("topic", topic)); err != nil {
			return err
		}
	}
	_, err = c.nameServer(ctx, remoting.ReqDeleteTopicInNamesrv, field("topic", topic))
	return err
}

// TopicConfigs returns the topics of a broker in the order of their names.
func (c *Client) TopicConfigs(ctx context.Context, addr string) ([]TopicConfig, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetAllTopicConfig, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Table map[string]TopicConfig `json:"topicConfigTable"`
	}
	if err := json.Unmarshal(r.Body, &answer); err != nil {
		return nil, fmt.Errorf("read the topics of %s: %w", addr, err)
	}
	list := make([]TopicConfig, 0, len(answer.Table))
	for _, t := range answer.Table {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b TopicConfig) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// GroupConfig is a consumer group as a broker has it.
type GroupConfig struct {
	Name          string `json:"groupName"`
	ConsumeEnable bool   `json:"consumeEnable"`
	RetryQueues   int32  `json:"retryQueueNums"`
	RetryMaxTimes int32  `json:"retryMaxTimes"`
}

// Groups returns the consumer groups of a broker in the order of their names.
func (c *Client) Groups(ctx context.Context, addr string) ([]GroupConfig, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetAllSubscriptionGroup, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Table map[string]GroupConfig `json:"subscriptionGroupTable"`
	}
	if err := decodeLoose(r.Body, &answer); err != nil {
		return nil, fmt.Errorf("read the consumer groups of %s: %w", addr, err)
	}
	list := make([]GroupConfig, 0, len(answer.Table))
	for _, g := range answer.Table {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b GroupConfig) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// DeleteGroup deletes a consumer group at a broker, with its offsets.
func (c *Client) DeleteGroup(ctx context.Context, addr, group string) error {
	_, err := c.Do(ctx, addr, remoting.ReqDeleteSubscriptionGroup, nil, field("groupName", group), field("cleanOffset", "true"))
	return err
}

// Members returns the client ids of the members of a consumer group, none when it
// is not consumed at present.
func (c *Client) Members(ctx context.Context, addr, group string) ([]string, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetConsumerListByGroup, nil, field("consumerGroup", group))
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Code == remoting.RespSystemError {
		return nil, nil // how brokers say that there is none
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		IDs []string `json:"consumerIdList"`
	}
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return nil, fmt.Errorf("read the members of %s: %w", group, err)
	}
	return list.IDs, nil
}

// RuntimeInfo returns a broker's figures as it writes them.
func (c *Client) RuntimeInfo(ctx context.Context, addr string) (map[string]string, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetBrokerRuntimeInfo, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Table map[string]string `json:"table"`
	}
	if err := json.Unmarshal(r.Body, &answer); err != nil {
		return nil, fmt.Errorf("read the figures of %s: %w", addr, err)
	}
	return answer.Table, nil
}
