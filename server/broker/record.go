package broker

import (
	"net/netip"
	"unsafe"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// The stored record is RocketMQ's own message layout (package message) with
// both offsets zero: they are known only when it is delivered, and
// appendDelivered writes them into the copy that goes out. The properties are
// the producer's, minus what the broker writes itself or never stores, plus, in
// this order,
//
//	UNIQ_KEY                            when the producer gave none
//	MSG_REGION TRACE_ON CLUSTER         always
//	DELAY                               when the level was above the highest
//	REAL_TOPIC REAL_QID                 when the message waits
//	TIMER_OUT_MS TIMER_ENQUEUE_MS       when it waits for an exact time
//	TIMER_DEQUEUE_MS                    the same; always last, see appendDelivered

// Values that every reply and every record carry.
const (
	regionName = "DefaultRegion"
	traceOn    = "true"
)

// recorder builds stored records in scratch of its own. It serves one request
// at a time and is pooled between them.
type recorder struct {
	home    *home
	request sendHeader // of the send being served
	info    properties
	msg     message.Message
	put     store.Message
	props   []byte
	uniq    []byte // UNIQ_KEY of the record built last
	keys    []uint64
	timed   bool   // the record built last waits for an exact time
	buf     []byte // one record, or all of a batch
}

// home is what all records of a broker have in common.
type home struct {
	storeHost netip.AddrPort
	maxBody   int32
	common    string // MSG_REGION, TRACE_ON and CLUSTER as a properties string
	keys      *message.UniqKeys
}

func newHome(o *Options, keys *message.UniqKeys) *home {
	common := message.AppendProperty(nil, message.PropMsgRegion, regionName)
	common = message.AppendProperty(common, message.PropTraceOn, traceOn)
	common = message.AppendProperty(common, message.PropCluster, o.ClusterName)
	return &home{storeHost: o.Advertise, maxBody: o.MaxMessageSize, common: string(common), keys: keys}
}

// build appends to r.buf the record of r.msg, whose sender's fields and Body are
// set, with the properties r.info, for queue queueID of topic. It fills r.put
// but for its Queue and Payload and returns the record.
func (r *recorder) build(topic string, queueID int32, when schedule, nowMs int64) ([]byte, *refusal) {
	if r.info.uniqKey == "" {
		r.uniq = r.home.keys.Append(r.uniq[:0], nowMs)
	} else {
		r.uniq = append(r.uniq[:0], r.info.uniqKey...)
	}
	r.props = r.appendProperties(r.props[:0], topic, queueID, when, nowMs)
	if len(r.props) > message.MaxProperties {
		return nil, illegalSize("properties_too_long", r.home.maxBody)
	}
	r.msg.Topic, r.msg.QueueID, r.msg.Properties = topic, queueID, text(r.props)
	r.msg.StoreMs, r.msg.StoreHost = nowMs, r.home.storeHost
	if r.msg.BornMs == 0 {
		r.msg.BornMs = nowMs
	}
	start := len(r.buf)
	var err error
	if r.buf, err = message.Append(r.buf, &r.msg); err != nil {
		return nil, refuse(remoting.RespMessageIllegal, "too_large", "the message is illegal, %v", err)
	}
	r.timed = when.isTimed()
	first := len(r.keys) // those of the other records of a batch come before
	r.keys = appendKeys(r.keys, topic, text(r.uniq), r.info.keys)
	r.put = store.Message{
		FireMs: when.fireMs, NowMs: nowMs, Tag: uint32(message.Hash(r.info.tags)), Key: uint32(message.Hash(text(r.uniq))),
		Keys: r.keys[first:len(r.keys):len(r.keys)],
	}
	return r.buf[start:], nil
}

// text returns b as a string without a copy: the string is good only as long as
// b is not written to.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// checkBody refuses a body that is empty or larger than the broker takes.
func checkBody(body []byte, most int32) *refusal {
	switch {
	case len(body) == 0:
		return refuse(remoting.RespMessageIllegal, "no_body", "the message is illegal, its body is empty")
	case int64(len(body)) > int64(most):
		return illegalSize("body_too_large", most)
	}
	return nil
}

func illegalSize(reason string, most int32) *refusal {
	return refuse(remoting.RespMessageIllegal, reason, "the message is illegal, maybe msg body or properties length not matched. "+
		"msg body length limit %dB, msg properties length limit %dB.", most, message.MaxProperties)
}

// dequeueMark is what the properties of a message that waited for an exact time
// end with: the name, 13 digits and a separator. The digits are the due time
// until appendDelivered writes over them.
const (
	dequeueMark   = message.PropTimerDequeueMs + "\x01"
	dequeueDigits = 13
)

// appendDelivered appends to dst the stored record rec as its consumer is to see
// it in slot d: with its offsets, and with the time at which it became visible as
// its store time and, if it waited for an exact time, as TIMER_DEQUEUE_MS.
func appendDelivered(dst, rec []byte, d *store.Delivery) []byte {
	start := len(dst)
	dst = append(dst, rec...)
	out := dst[start:]
	message.Patch(out, d.Slot, int64(d.Loc))
	message.PatchStoreMs(out, d.DeliverMs)
	patchDequeueMs(out, d.DeliverMs)
	return dst
}

// patchDequeueMs writes ms into the record's last property if that is
// TIMER_DEQUEUE_MS. Only the broker ends properties with it.
func patchDequeueMs(rec []byte, ms int64) {
	ms = max(ms, 0)
	digits := len(rec) - 1 - dequeueDigits
	mark := digits - len(dequeueMark)
	if mark < 0 || string(rec[mark:digits]) != dequeueMark {
		return
	}
	for i := len(rec) - 2; i >= digits; i-- {
		rec[i] = '0' + byte(ms%10)
		ms /= 10
	}
}
