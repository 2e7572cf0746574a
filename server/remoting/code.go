package remoting

// Request codes from clients to a broker.
const (
	ReqSendMessage                int32 = 10
	ReqPullMessage                int32 = 11
	ReqQueryMessage               int32 = 12
	ReqQueryConsumerOffset        int32 = 14
	ReqUpdateConsumerOffset       int32 = 15
	ReqUpdateAndCreateTopic       int32 = 17
	ReqUpdateAndCreateTopicList   int32 = 18
	ReqGetAllTopicConfig          int32 = 21
	ReqUpdateBrokerConfig         int32 = 25
	ReqGetBrokerConfig            int32 = 26
	ReqGetBrokerRuntimeInfo       int32 = 28
	ReqSearchOffsetByTimestamp    int32 = 29
	ReqGetMaxOffset               int32 = 30
	ReqGetMinOffset               int32 = 31
	ReqGetEarliestMsgStoreTime    int32 = 32
	ReqViewMessageByID            int32 = 33
	ReqHeartBeat                  int32 = 34
	ReqUnregisterClient           int32 = 35
	ReqConsumerSendMsgBack        int32 = 36
	ReqEndTransaction             int32 = 37
	ReqGetConsumerListByGroup     int32 = 38
	ReqLockBatchMQ                int32 = 41
	ReqUnlockBatchMQ              int32 = 42
	ReqGetAllConsumerOffset       int32 = 43
	ReqGetAllDelayOffset          int32 = 45
	ReqCheckClientConfig          int32 = 46
	ReqGetTimerCheckPoint         int32 = 60
	ReqGetTimerMetrics            int32 = 61
	ReqUpdateSubscriptionGroup    int32 = 200
	ReqGetAllSubscriptionGroup    int32 = 201
	ReqGetTopicStatsInfo          int32 = 202
	ReqGetConsumerConnectionList  int32 = 203
	ReqGetProducerConnectionList  int32 = 204
	ReqDeleteSubscriptionGroup    int32 = 207
	ReqGetConsumeStats            int32 = 208
	ReqDeleteTopicInBroker        int32 = 215
	ReqInvokeBrokerResetOffset    int32 = 222
	ReqInvokeBrokerConsumerStatus int32 = 223
	ReqUpdateSubscriptionGroups   int32 = 225
	ReqQueryTopicConsumeByWho     int32 = 300
	ReqQueryConsumeTimeSpan       int32 = 303
	ReqGetSystemTopicsFromBroker  int32 = 305
	ReqCleanExpiredConsumeQueue   int32 = 306
	ReqSendMessageV2              int32 = 310
	ReqViewBrokerStatsData        int32 = 315
	ReqCleanUnusedTopic           int32 = 316
	ReqGetBrokerConsumeStats      int32 = 317
	ReqSendBatchMessage           int32 = 320
	ReqQueryConsumeQueue          int32 = 321
	ReqSendReplyMessage           int32 = 324
	ReqSendReplyMessageV2         int32 = 325
	ReqGetAllProducerInfo         int32 = 328
	ReqDeleteExpiredCommitLog     int32 = 329
	ReqQueryTopicsByConsumer      int32 = 343
	ReqQuerySubscription          int32 = 345
	ReqGetTopicConfig             int32 = 351
	ReqGetSubscriptionGroupConfig int32 = 352
	ReqLitePullMessage            int32 = 361
	ReqRecallMessage              int32 = 370
	ReqQueryAssignment            int32 = 400
	ReqSetMessageRequestMode      int32 = 401
	ReqGetAllMessageRequestMode   int32 = 402
	ReqGetBrokerHAStatus          int32 = 907
)

// Request codes that only duelog's broker serves. They fit the 16-bit code of the
// binary header and lie far from those of RocketMQ.
const (
	ReqDuelogPendingCounts int32 = 30001
	ReqDuelogPendingList   int32 = 30002
	ReqDuelogImport        int32 = 30003
)

// Request codes of pop consumption. They do not fit the 16-bit code of the
// binary header; Decode widens the truncated values.
const (
	ReqPopMessage          int32 = 200050
	ReqAckMessage          int32 = 200051
	ReqPeekMessage         int32 = 200052
	ReqChangeInvisibleTime int32 = 200053
	ReqNotification        int32 = 200054
	ReqPollingInfo         int32 = 200055
	ReqPopLiteMessage      int32 = 200070
	ReqBatchAckMessage     int32 = 200151

	firstWideCode = ReqPopMessage
	lastWideCode  = ReqBatchAckMessage
)

// Request codes from clients to a name server.
const (
	ReqPutKVConfig              int32 = 100
	ReqGetKVConfig              int32 = 101
	ReqDeleteKVConfig           int32 = 102
	ReqRegisterBroker           int32 = 103
	ReqUnregisterBroker         int32 = 104
	ReqGetRouteInfoByTopic      int32 = 105
	ReqGetBrokerClusterInfo     int32 = 106
	ReqWipeWritePermOfBroker    int32 = 205
	ReqGetAllTopicsFromNamesrv  int32 = 206
	ReqDeleteTopicInNamesrv     int32 = 216
	ReqRegisterTopicInNamesrv   int32 = 217
	ReqGetKVListByNamespace     int32 = 219
	ReqGetTopicsByCluster       int32 = 224
	ReqGetSystemTopicsFromNS    int32 = 304
	ReqGetUnitTopicList         int32 = 311
	ReqGetHasUnitSubTopicList   int32 = 312
	ReqGetHasUnitSubUnunitTopic int32 = 313
	ReqUpdateNamesrvConfig      int32 = 318
	ReqGetNamesrvConfig         int32 = 319
	ReqQueryDataVersion         int32 = 322
	ReqAddWritePermOfBroker     int32 = 327
	ReqGetBrokerMemberGroup     int32 = 901
	ReqBrokerHeartbeat          int32 = 904
)

// Request codes from a broker to its clients.
const (
	ReqCheckTransactionState     int32 = 39
	ReqNotifyConsumerIDsChanged  int32 = 40
	ReqResetConsumerClientOffset int32 = 220
	ReqGetConsumerStatusFromCli  int32 = 221
	ReqGetConsumerRunningInfo    int32 = 307
	ReqConsumeMessageDirectly    int32 = 309
	ReqPushReplyMessageToClient  int32 = 326
)

// Response codes.
const (
	RespSuccess                 int32 = 0
	RespSystemError             int32 = 1
	RespSystemBusy              int32 = 2
	RespRequestCodeNotSupported int32 = 3
	RespTransactionFailed       int32 = 4
	RespFlushDiskTimeout        int32 = 10
	RespSlaveNotAvailable       int32 = 11
	RespFlushSlaveTimeout       int32 = 12
	RespMessageIllegal          int32 = 13
	RespServiceNotAvailable     int32 = 14
	RespVersionNotSupported     int32 = 15
	RespNoPermission            int32 = 16
	RespTopicNotExist           int32 = 17
	RespTopicExistAlready       int32 = 18
	RespPullNotFound            int32 = 19
	RespPullRetryImmediately    int32 = 20
	RespPullOffsetMoved         int32 = 21
	RespQueryNotFound           int32 = 22
	RespSubscriptionParseFailed int32 = 23
	RespSubscriptionNotExist    int32 = 24
	RespSubscriptionNotLatest   int32 = 25
	RespSubscriptionGroupAbsent int32 = 26
	RespFilterDataNotExist      int32 = 27
	RespFilterDataNotLatest     int32 = 28
	RespInvalidParameter        int32 = 29
	RespTransactionShouldCommit int32 = 200
	RespTransactionRollback     int32 = 201
	RespTransactionUnknown      int32 = 202
	RespTransactionWrongGroup   int32 = 203
	RespNoBuyerID               int32 = 204
	RespNotInCurrentUnit        int32 = 205
	RespConsumerNotOnline       int32 = 206
	RespConsumeMsgTimeout       int32 = 207
	RespNoMessage               int32 = 208
	RespPollingFull             int32 = 209
	RespPollingTimeout          int32 = 210
	RespFlowControl             int32 = 215
	RespNotLeader               int32 = 501
	RespIllegalOperation        int32 = 604
	RespGoAway                  int32 = 1500
	RespUserNotExist            int32 = 3001
	RespPolicyNotExist          int32 = 3002
)

// widenCode undoes the truncation of the pop codes to 16 bits: 3442 is 200050.
// Nothing else uses that range.
func widenCode(code int32) int32 {
	wide := code + (firstWideCode &^ 0xffff)
	if wide >= firstWideCode && wide <= lastWideCode {
		return wide
	}
	return code
}
