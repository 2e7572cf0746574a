package message

// Property names that producers, brokers and consumers give a meaning to.
const (
	PropKeys           = "KEYS" // index keys, separated by spaces
	PropTags           = "TAGS"
	PropWait           = "WAIT"
	PropUniqKey        = "UNIQ_KEY" // the message id that clients show
	PropInstanceID     = "INSTANCE_ID"
	PropCorrelationID  = "CORRELATION_ID"
	PropReplyToClient  = "REPLY_TO_CLIENT"
	PropTTL            = "TTL"
	PropArriveTime     = "ARRIVE_TIME"
	PropPushReplyTime  = "PUSH_REPLY_TIME"
	PropMsgType        = "MSG_TYPE"
	PropMsgRegion      = "MSG_REGION"
	PropTraceOn        = "TRACE_ON"
	PropCluster        = "CLUSTER"
	PropBornHost       = "__BORNHOST"
	PropBornTimestamp  = "BORN_TIMESTAMP"
	PropShardingKey    = "__SHARDINGKEY"
	PropTransientStart = "__RMQ.TRANSIENT." // prefix of properties that are never stored
)

// Delay: how a producer asks for it and what the broker notes.
const (
	PropDelayLevel      = "DELAY"              // level 1..18
	PropTimerDelaySec   = "TIMER_DELAY_SEC"    // relative, seconds
	PropTimerDelayMs    = "TIMER_DELAY_MS"     // relative, milliseconds
	PropTimerDeliverMs  = "TIMER_DELIVER_MS"   // absolute, milliseconds since 1970
	PropStartDeliver    = "__STARTDELIVERTIME" // absolute, milliseconds since 1970
	PropTimerOutMs      = "TIMER_OUT_MS"       // when it is due
	PropTimerEnqueueMs  = "TIMER_ENQUEUE_MS"
	PropTimerDequeueMs  = "TIMER_DEQUEUE_MS" // when it fired
	PropTimerRollTimes  = "TIMER_ROLL_TIMES"
	PropTimerDelUniqKey = "TIMER_DEL_UNIQKEY" // cancel marker: topic+UNIQ_KEY
	PropRealTopic       = "REAL_TOPIC"
	PropRealQueueID     = "REAL_QID"
)

// Retries and dead letters.
const (
	PropRetryTopic         = "RETRY_TOPIC" // topic before the first retry
	PropOriginMessageID    = "ORIGIN_MESSAGE_ID"
	PropReconsumeTime      = "RECONSUME_TIME"
	PropMaxReconsumeTimes  = "MAX_RECONSUME_TIMES"
	PropConsumeStartTime   = "CONSUME_START_TIME"
	PropDLQOriginTopic     = "DLQ_ORIGIN_TOPIC"
	PropDLQOriginMessageID = "DLQ_ORIGIN_MESSAGE_ID"
)

// Transactions.
const (
	PropTranMsg             = "TRAN_MSG"
	PropProducerGroup       = "PGROUP"
	PropTransactionID       = "__transactionId__"
	PropTranPreparedOffset  = "TRAN_PREPARED_QUEUE_OFFSET"
	PropCheckImmunitySec    = "CHECK_IMMUNITY_TIME_IN_SECONDS"
	PropTransactionChecks   = "TRANSACTION_CHECK_TIMES"
	PropMinOffset           = "MIN_OFFSET"
	PropMaxOffset           = "MAX_OFFSET"
	PropPopCheckPoint       = "POP_CK"
	PropPopCheckPointOffset = "POP_CK_OFFSET"
	PropFirstPopTime        = "1ST_POP_TIME"
)
