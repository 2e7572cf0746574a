// Package client is a small RocketMQ client for programs that look at a cluster
// or work it by hand: it sends, pulls, commits offsets and asks what brokers and
// name servers know. It is what the tools are made of, and works with any server
// that speaks the protocol; the requests of duelog's own (pending messages, import)
// are marked so.
//
// A Client keeps one connection per address and dials again when one has ended.
// Every request is bounded by Options.Timeout besides the caller's context. An
// answer with another code than success is a *RefusedError.
//
// It does not rebalance queues among the members of a group, retry a send, or
// cache routes.
//
// All methods are safe for concurrent use. Results are the caller's to keep.
package client
