package broker

// systemTopics are the topics that exist without anybody having made them.
func systemTopics(o *Options) []*topicConfig {
	list := []*topicConfig{
		newTopicConfig(topicSelfTest, 1, 1, permRead|permWrite),
		newTopicConfig(topicBenchmark, benchmarkQueues, benchmarkQueues, permRead|permWrite),
		newTopicConfig(o.ClusterName, clusterTopicQueues, clusterTopicQueues, permAll),
		newTopicConfig(o.BrokerName, 1, 1, permAll),
		newTopicConfig(o.ClusterName+replyTopicSuffix, 1, 1, permRead|permWrite),
		newTopicConfig(topicTrace, 1, 1, permRead|permWrite),
		newTopicConfig(topicOffsetMoved, 1, 1, permRead|permWrite),
		newTopicConfig(topicSchedule, levelQueues, levelQueues, permRead|permWrite),
		newTopicConfig(topicTimer, 1, 1, permRead|permWrite),
		newTopicConfig(topicHalf, 1, 1, permRead|permWrite),
		newTopicConfig(topicHalfOp, 1, 1, permRead|permWrite),
		newTopicConfig(topicTransDiscard, 1, 1, permRead|permWrite),
	}
	if o.AutoCreateTopic {
		list = append(list, newTopicConfig(topicAutoCreate, o.DefaultTopicQueues, o.DefaultTopicQueues, permAll))
	}
	return list
}
