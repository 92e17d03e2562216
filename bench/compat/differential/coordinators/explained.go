package main

import "regexp"

// explanation is a difference that may be. The pattern is held
// against its text as it is printed.
type explanation struct {
	pattern *regexp.Regexp
	why     string // with the source of Kafka
	seen    int
}

var explained = []*explanation{
	{regexp.MustCompile(`(?s)JoinGroup .*Kafka: +\.ErrorCode = 0.*LeaderID = \n.*Chronik: +\.ErrorCode = 0.*LeaderID = \n`),
		"a static classic member takes the place of the last member of KIP-848, and the group becomes classic: Kafka answers with the " +
			"member's epoch, which is no generation of the group, so that SyncGroup refuses it (GroupMetadataManager." +
			"classicGroupJoinToConsumerGroup); here it is the generation", 0},
	{regexp.MustCompile(`(?s)JoinGroup v[5-9] join "[^"]+" as own \S+\.m2\b[^\n]*, type "consumer", \[[^\n]+\]\n +Kafka: +\.ErrorCode = -1\n.*Chronik: +\.ErrorCode = (0|23)\n`),
		"a static member of KIP-848 replaced by a classic one whose protocols Kafka cannot agree on: NoSuchElementException in " +
			"ClassicGroup.fromConsumerGroup, UNKNOWN_SERVER_ERROR", 0},
	{regexp.MustCompile(`(?s)JoinGroup v[5-9] join "[^"]+" as own \S+\.m(2\b|[01], unknown instance)[^\n]*\n +Kafka: +\.ErrorCode = -1\n.*Chronik: +\.ErrorCode = 25\n`),
		"a member id that was handed out to be joined with (KIP-394) comes back with an instance id: IllegalStateException in GroupMetadataManager." +
			"classicGroupJoinExistingMember, UNKNOWN_SERVER_ERROR; here nobody has that instance id", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupHeartbeat [^\n]*kind [0-3], full true, [^\n]*\n +Kafka: +\.ErrorCode = -1\n.*Chronik: +\.ErrorCode = 0\n`),
		"a classic group whose members have not all been heard in its rebalance becomes a consumer group: IllegalArgumentException in " +
			"ConsumerGroup.fromClassicGroup, UNKNOWN_SERVER_ERROR", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupHeartbeat .*assignor "(range|uniform)"\n.*MemberEpoch`),
		"a member that changes the group's assignor has it assigned anew at once, as in Kafka after 4.3 (hasPreferredServerAssignorChanged); " +
			"before, at the next change", 0},
	{regexp.MustCompile(`(?s)JoinGroup .*Kafka: +\.ErrorCode = 0\n.*LeaderID = [^\n]+\n.*Chronik: +\.ErrorCode = 0\n.*LeaderID = [^\n]+\n`),
		"when the leader is gone Kafka takes whichever member a hash map has first (ClassicGroup.remove); here it is the one that was in longest", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupDescribe .*Kafka: .*AssignorName = (uniform, .*Chronik: .*AssignorName = range|range, .*Chronik: .*AssignorName = uniform)`),
		"as many members prefer the one assignor as the other: Kafka takes the one that a hash map has first " +
			"(ConsumerGroup.computePreferredServerAssignor); here the first by name", 0},
	{regexp.MustCompile(`(?s)DescribeTransactions v0 wait .*Kafka: .*State = Prepare.*Chronik: .*State = Complete`),
		"a plain batch with a newer epoch than the coordinator's has the marker refused: Kafka gives up sending it and leaves the " +
			"transaction prepared (TransactionMarkerRequestCompletionHandler); here the partition needs no marker, and it ends", 0},
	{regexp.MustCompile(`(?s)(Join|Sync)Group .*Kafka: +\.ErrorCode = 27\n.*Chronik: no answer`),
		"a heartbeat of KIP-848 that is refused for its pattern has begun to convert the classic group in Kafka, which sends away " +
			"whoever waits in JoinGroup or SyncGroup (GroupMetadataManager.convertToConsumerGroup); here nothing has happened", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupHeartbeat .*kind [0-3], .*Kafka: +\.ErrorCode = 25\n.*Chronik: +\.ErrorCode = 0\n`),
		"a static member of KIP-848 joined anew with another instance id and has left: Kafka's map still leads from its first instance id " +
			"to it (ConsumerGroup.updateStaticMember and removeStaticMember know the last one only), and whoever joins with that id, even " +
			"the same member, is told UNKNOWN_MEMBER_ID until the group is loaded again; here the instance id is free", 0},
	{regexp.MustCompile(`(?s)SyncGroup .*Kafka: +no answer while the other has one\n.*Chronik: +\.ErrorCode = 25\n`),
		"a member that leaves while its own SyncGroup waits: Kafka completes only what waits in JoinGroup and leaves the SyncGroup to time out " +
			"(GroupMetadataManager.removeMemberAndUpdateClassicGroup); here it is answered", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupHeartbeat [^\n]*kind [6-9], full false[^\n]*\n +Kafka: +\.ErrorCode = 0\n +\.MemberID = (\S+)\n +\.MemberEpoch = \d+\n[^C]*Chronik: +\.ErrorCode = 0\n +\.MemberID = \S+\n +\.MemberEpoch = \d+\n(?s:.*)\n +members hold `),
		"a member that has to give up a partition stays at its epoch until it has. Which members get one more than the others goes in Kafka by " +
			"the order of a hash map of their ids (UniformHomogeneousAssignmentBuilder.maybeRevokePartitions), which are random; here who has " +
			"one more keeps it", 0},
	{regexp.MustCompile(` Heartbeat v\d heartbeat [^\n]*\n +Kafka: +\.ErrorCode = (0\n +Chronik: +\.ErrorCode = 27|27\n +Chronik: +\.ErrorCode = 0)\n +members hold |` +
		`(?s: ConsumerGroupDescribe [^\n]*\n +Kafka: [^\n]*ErrorCode = 0, [^\n]*State = (Stable|Reconciling), .*\n +Chronik: [^\n]*ErrorCode = 0, [^\n]*State = (Stable|Reconciling), .*\n +members hold )`),
		"a classic member of a consumer group is told to join again when a partition of its target is given up by another member, and until then " +
			"the group is reconciling. Whether another member had it follows from who got one more than the others, in Kafka by the order of a hash map of their ids, which are " +
			"random (UniformHomogeneousAssignmentBuilder.maybeRevokePartitions); explained only where members hold other numbers of partitions", 0},
	{regexp.MustCompile(`(?s)ConsumerGroupDescribe [^\n]*\n +Kafka: [^\n]*ErrorCode = 0, [^\n]*State = (Stable|Assigning|Reconciling), [^\n]*SubscribedTopicRegex = [^,]+topic1, .*Chronik: `),
		"patterns are resolved beside the coordinator by both (GroupMetadataManager.refreshRegularExpressionsAsync), and the group has a new " +
			"epoch when that is done: one may be ahead of the other when it is asked", 0},
	{regexp.MustCompile(`(?s)OffsetCommit [^\n]*, generation - 1\n.*Kafka: .*ErrorCode = (22|113)\}.*Chronik: .*ErrorCode = 0\}`),
		"an epoch older than the member's is good for partitions that it has had since (KIP-1251, as Kafka 4.3 has it); 4.2 refuses it", 0},
	{regexp.MustCompile(`(?s)Produce v1[2-9] produce \d+ to [^\n]*, plain false\n +Kafka: .*ErrorCode = 0, .*Chronik: .*ErrorCode = 45, `),
		"a batch of transactions v2 that begins a producer's state must have sequence 0. Kafka goes by the version of the request that first " +
			"asked the partition to verify the producer, though it was refused (ProducerStateManager.maybeCreateVerificationStateEntry keeps " +
			"supportsEpochBump); here by the request's own", 0},
}

// explains finds why a difference may be; nil when nothing says so.
func explains(d difference) *explanation {
	for _, e := range explained {
		if e.pattern.MatchString(d.String()) {
			return e
		}
	}
	return nil
}
