package broker

import "github.com/duelog/duelog/server/remoting"

// consumerHandlers serves what consumers ask for, and what all clients do.
var consumerHandlers = map[int32]handlerFunc{
	remoting.ReqPullMessage:             handlePull,
	remoting.ReqLitePullMessage:         handlePull,
	remoting.ReqQueryConsumerOffset:     handleQueryOffset,
	remoting.ReqUpdateConsumerOffset:    handleUpdateOffset,
	remoting.ReqSearchOffsetByTimestamp: handleSearchOffset,
	remoting.ReqGetMaxOffset:            handleMaxOffset,
	remoting.ReqGetMinOffset:            handleMinOffset,
	remoting.ReqGetEarliestMsgStoreTime: handleEarliest,
	remoting.ReqHeartBeat:               handleHeartbeat,
	remoting.ReqUnregisterClient:        handleUnregister,
	remoting.ReqGetConsumerListByGroup:  handleConsumerList,
	remoting.ReqCheckClientConfig:       handleCheckClientConfig,
	remoting.ReqLockBatchMQ:             handleLock,
	remoting.ReqUnlockBatchMQ:           handleUnlock,
	remoting.ReqQueryAssignment:         handleAssignment,
}

// adminHandlers serves what tools ask for.
var adminHandlers = map[int32]handlerFunc{
	remoting.ReqUpdateAndCreateTopic:    handleUpdateTopic,
	remoting.ReqDeleteTopicInBroker:     handleDeleteTopic,
	remoting.ReqUpdateSubscriptionGroup: handleUpdateGroup,

	remoting.ReqGetBrokerRuntimeInfo:       handleRuntimeInfo,
	remoting.ReqGetAllTopicConfig:          handleAllTopics,
	remoting.ReqGetTopicConfig:             handleTopicConfig,
	remoting.ReqGetSystemTopicsFromBroker:  handleSystemTopics,
	remoting.ReqGetTopicStatsInfo:          handleTopicStats,
	remoting.ReqGetAllSubscriptionGroup:    handleAllGroups,
	remoting.ReqGetSubscriptionGroupConfig: handleGroupConfig,
	remoting.ReqDeleteSubscriptionGroup:    handleDeleteGroup,
	remoting.ReqGetConsumeStats:            handleConsumeStats,
	remoting.ReqGetConsumerConnectionList:  handleConsumerConnections,
	remoting.ReqGetProducerConnectionList:  handleProducerConnections,
	remoting.ReqQueryTopicConsumeByWho:     handleTopicConsumers,
	remoting.ReqQueryTopicsByConsumer:      handleConsumerTopics,
	remoting.ReqGetAllConsumerOffset:       handleAllOffsets,
	remoting.ReqGetTimerMetrics:            handleTimerMetrics,

	remoting.ReqDuelogPendingCounts: handlePendingCounts,
	remoting.ReqDuelogPendingList:   handlePendingList,
	remoting.ReqDuelogImport:        handleImport,
}
