package remoting

import "encoding/binary"

// Headers as real clients sent them, captured on the wire.
var samples = map[string]string{
	"cpp send":         `{"code":10,"extFields":{"AccessKey":"","OnsChannel":"ALIYUN","Signature":"xAUXCtFUi9t8M9WxTerLnPmfvE4=","batch":"0","bornTimestamp":"1795407928193","defaultTopic":"TBW102","defaultTopicQueueNums":4,"flag":0,"producerGroup":"app_py_pg_6a6db676dd_1","properties":"KEYS\u0001key-prime\u0002TAGS\u0001TagA\u0002UNIQ_KEY\u00010100007F0000A42D0000013E9C770100\u0002WAIT\u0001true\u0002property\u0001test\u0002","queueId":0,"reconsumeTimes":"0","sysFlag":0,"topic":"app_py_level_6a6db676dd_2","unitMode":"0"},"flag":0,"language":"CPP","opaque":2,"remark":"","version":63}` + "\n",
	"go send":          `{"code":10,"language":"GO","version":317,"opaque":3,"flag":0,"remark":"","extFields":{"properties":"TAGS\u0001TagA\u0002KEYS\u0001key-prime\u0002UNIQ_KEY\u0001C000020217E6000000007251c7100001\u0002","producerGroup":"app_go_pg_5gdij840_1","topic":"app_go_adm_5gdij840_3","queueId":"1","sysFlag":"0","bornTimestamp":"1795409162105","flag":"0","reconsumeTimes":"0","maxReconsumeTimes":"0","unitMode":"false","defaultTopic":"TBW102","defaultTopicQueueNums":"4","batch":"false"}}`,
	"java 409 send v2": `{"code":310,"extFields":{"a":"app_pg_5i59eze_4","b":"app_level_5i59eze_1","c":"TBW102","d":"4","e":"0","f":"0","g":"1795409247731","h":"0","i":"KEYS\u0001key-warm-up\u0002UNIQ_KEY\u0001FD00000000000000000000000000000221EB30946E09725315F30000\u0002WAIT\u0001true\u0002TAGS\u0001TagA","j":"0","k":"false","m":"false","n":"broker-a"},"flag":0,"language":"JAVA","opaque":57,"serializeTypeCurrentRPC":"JSON","version":409}`,
	"java 513 send v2": `{"code":310,"extFields":{"a":"app_pg_4qq3hv7_3","b":"app_async_4qq3hv7_1","c":"TBW102","d":"4","e":"1","f":"0","g":"1795407967375","h":"0","i":"KEYS\u0001key-a1\u0002UNIQ_KEY\u0001FD000000000000000000000000000002231430946E09723F8C8D0000\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002","j":"0","k":"false","m":"false","n":"broker-a"},"flag":0,"language":"JAVA","opaque":11,"serializeTypeCurrentRPC":"JSON","version":513}`,
	"cpp pull":         `{"code":11,"extFields":{"AccessKey":"","OnsChannel":"ALIYUN","Signature":"w5ixRxvQUWmhhb15cphKd+PwRWE=","commitOffset":"0","consumerGroup":"app_py_cg_6a6db676dd_3","maxMsgNums":32,"queueId":0,"queueOffset":"0","subVersion":"1795407928204","subscription":"*","suspendTimeoutMillis":"15000","sysFlag":6,"topic":"app_py_level_6a6db676dd_2"},"flag":0,"language":"CPP","opaque":15,"remark":"","version":63}` + "\n",
	"java pull":        `{"code":11,"extFields":{"queueId":"0","maxMsgBytes":"262144","maxMsgNums":"32","sysFlag":"2","suspendTimeoutMillis":"15000","commitOffset":"0","bname":"broker-a","topic":"app_async_4qq3hv7_1","queueOffset":"0","expressionType":"TAG","subVersion":"1795407968749","consumerGroup":"app_cg_4qq3hv7_4"},"flag":0,"language":"JAVA","opaque":70,"serializeTypeCurrentRPC":"JSON","version":513}`,
	"go heartbeat":     `{"code":34,"language":"GO","version":317,"opaque":8,"flag":0,"remark":"","extFields":{}}`,
	"java oneway":      `{"code":15,"extFields":{"queueId":"0","bname":"broker-a","commitOffset":"31","topic":"app_batch_5hr3aae_1","consumerGroup":"app_cg_5hr3aae_4"},"flag":2,"language":"JAVA","opaque":63,"serializeTypeCurrentRPC":"JSON","version":409}`,
	"send reply":       `{"code":0,"extFields":{"queueId":"0","transactionId":"FD00000000000000000000000000000221EB30946E09725315F30000","msgId":"7F000001000078C9000000000033CCF3","TRACE_ON":"true","MSG_REGION":"DefaultRegion","queueOffset":"0"},"flag":1,"language":"JAVA","opaque":57,"serializeTypeCurrentRPC":"JSON","version":513}`,
	"pull reply":       `{"code":0,"extFields":{"suggestWhichBrokerId":"0","groupSysFlag":"0","nextBeginOffset":"1","maxOffset":"1","minOffset":"0","topicSysFlag":"0"},"flag":1,"language":"JAVA","opaque":15,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":513}`,
}

// frameOf is the frame, without its length field, of a header and a body.
func frameOf(s Serialize, head string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(s)<<24|uint32(len(head)))
	b = append(b, head...)
	return append(b, body...)
}

// sendCommand is a send request like those of Java clients.
func sendCommand(s Serialize, body []byte) *Command {
	var c Command
	if err := Decode(frameOf(JSON, samples["java 513 send v2"], nil), &c); err != nil {
		panic(err)
	}
	d := c.Clone()
	d.Serialize, d.Body = s, body
	return d
}
