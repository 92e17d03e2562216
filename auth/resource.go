package auth

import "strconv"

// Operation is Kafka's ACL operation number (AclOperation.java).
type Operation int8

const (
	OpAny             Operation = 1
	OpAll             Operation = 2
	OpRead            Operation = 3
	OpWrite           Operation = 4
	OpCreate          Operation = 5
	OpDelete          Operation = 6
	OpAlter           Operation = 7
	OpDescribe        Operation = 8
	OpClusterAction   Operation = 9
	OpDescribeConfigs Operation = 10
	OpAlterConfigs    Operation = 11
	OpIdempotentWrite Operation = 12
	OpCreateTokens    Operation = 13
	OpDescribeTokens  Operation = 14
	// OpTwoPhaseCommit is KIP-939's; it may be stored and asked for.
	OpTwoPhaseCommit Operation = 15
)

var operationNames = [...]string{
	"Unknown", "Any", "All", "Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction",
	"DescribeConfigs", "AlterConfigs", "IdempotentWrite", "CreateTokens", "DescribeTokens", "TwoPhaseCommit",
}

// String is the name that Kafka's tools print.
func (o Operation) String() string {
	if o < 0 || int(o) >= len(operationNames) {
		return "Operation(" + strconv.Itoa(int(o)) + ")"
	}
	return operationNames[o]
}

// ResourceType is Kafka's ACL resource type number (ResourceType.java).
type ResourceType int8

const (
	ResAny     ResourceType = 1 // in filters only
	ResTopic   ResourceType = 2
	ResGroup   ResourceType = 3
	ResCluster ResourceType = 4 // its name is always "kafka-cluster"
	ResTxnID   ResourceType = 5
	ResToken   ResourceType = 6
	ResUser    ResourceType = 7
)

var resourceNames = [...]string{
	"Unknown", "Any", "Topic", "Group", "Cluster", "TransactionalId", "DelegationToken", "User",
}

// String is the name that Kafka's tools print.
func (r ResourceType) String() string {
	if r < 0 || int(r) >= len(resourceNames) {
		return "ResourceType(" + strconv.Itoa(int(r)) + ")"
	}
	return resourceNames[r]
}

// ClusterName is the name of the one cluster resource.
const ClusterName = "kafka-cluster"

// Pattern types and permissions of an ACL (PatternType.java,
// AclPermissionType.java). Any and Match are for filters only.
const (
	PatternAny      int8 = 1
	PatternMatch    int8 = 2
	PatternLiteral  int8 = 3
	PatternPrefixed int8 = 4

	PermissionAny   int8 = 1
	PermissionDeny  int8 = 2
	PermissionAllow int8 = 3
)

// wildcard is the literal resource name and the host that match everything.
const wildcard = "*"

// opMask is a set of operations, one bit each.
type opMask uint32

// storable are the operations that an ACL can hold.
const storable opMask = 1<<(OpTwoPhaseCommit+1) - 1<<OpAll

// bit is the operation's place in a mask; nothing for what cannot be asked.
func (o Operation) bit() opMask {
	if o < OpAll || o > OpTwoPhaseCommit {
		return 0
	}
	return 1 << o
}

// granted is what an ALLOW of an operation allows: itself and what it implies.
func granted(o Operation) opMask {
	switch o {
	case OpAll:
		return storable
	case OpRead, OpWrite, OpDelete, OpAlter:
		return o.bit() | OpDescribe.bit()
	case OpAlterConfigs:
		return o.bit() | OpDescribeConfigs.bit()
	}
	return o.bit()
}

// refused is what a DENY of an operation denies. It implies nothing.
func refused(o Operation) opMask {
	if o == OpAll {
		return storable
	}
	return o.bit()
}
