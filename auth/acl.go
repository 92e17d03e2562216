package auth

import (
	"fmt"
	"strings"

	"github.com/chronik-stream/chronik/cluster"
)

// ACLFilter selects ACLs as DescribeAcls and DeleteAcls do (AclBindingFilter).
type ACLFilter struct {
	ResourceType ResourceType // ResAny for all
	Name         *string      // nil for all
	PatternType  int8         // PatternAny, PatternMatch, PatternLiteral or PatternPrefixed
	Principal    *string      // nil for all; compared as text
	Host         *string      // nil for all; compared as text
	Operation    Operation    // OpAny for all
	Permission   int8         // PermissionAny for all
}

// Matches reports whether the filter selects the ACL. With PatternMatch it
// selects every pattern that would apply to a resource of that name.
func (f *ACLFilter) Matches(acl cluster.ACL) bool {
	if f.ResourceType != ResAny && int8(f.ResourceType) != acl.ResourceType ||
		f.PatternType != PatternAny && f.PatternType != PatternMatch && f.PatternType != acl.PatternType ||
		f.Principal != nil && *f.Principal != acl.Principal ||
		f.Host != nil && *f.Host != acl.Host ||
		f.Operation != OpAny && int8(f.Operation) != acl.Operation ||
		f.Permission != PermissionAny && f.Permission != acl.Permission {
		return false
	}
	switch {
	case f.Name == nil:
		return true
	case f.PatternType != PatternMatch:
		return *f.Name == acl.ResourceName
	case acl.PatternType == PatternPrefixed:
		return strings.HasPrefix(*f.Name, acl.ResourceName)
	}
	return *f.Name == acl.ResourceName || acl.ResourceName == wildcard
}

// Check refuses a filter with a number that Kafka does not know, by
// INVALID_REQUEST.
func (f *ACLFilter) Check() error {
	switch {
	case f.ResourceType < ResAny || f.ResourceType > ResUser:
		return invalid("the filter's resource type %d is unknown", f.ResourceType)
	case f.PatternType < PatternAny || f.PatternType > PatternPrefixed:
		return invalid("the filter's pattern type %d is unknown", f.PatternType)
	case f.Operation < OpAny || f.Operation > OpTwoPhaseCommit:
		return invalid("the filter's operation %d is unknown", f.Operation)
	case f.Permission < PermissionAny || f.Permission > PermissionAllow:
		return invalid("the filter's permission type %d is unknown", f.Permission)
	}
	return nil
}

// operationsOf is what may be said about each resource type
// (AclEntry.supportedOperations).
var operationsOf = [ResUser + 1]opMask{
	ResTopic: masks(OpRead, OpWrite, OpCreate, OpDescribe, OpDelete, OpAlter, OpDescribeConfigs, OpAlterConfigs),
	ResGroup: masks(OpRead, OpDescribe, OpDelete, OpDescribeConfigs, OpAlterConfigs),
	ResCluster: masks(OpCreate, OpClusterAction, OpDescribeConfigs, OpAlterConfigs, OpIdempotentWrite, OpAlter,
		OpDescribe),
	ResTxnID: masks(OpDescribe, OpWrite, OpTwoPhaseCommit),
	ResToken: masks(OpDescribe),
	ResUser:  masks(OpCreateTokens, OpDescribeTokens),
}

func masks(ops ...Operation) (m opMask) {
	for _, op := range ops {
		m |= op.bit()
	}
	return m
}

// Supports reports whether the operation means anything on the resource type;
// AuthorizedOperations walks only these.
func (rt ResourceType) Supports(op Operation) bool {
	return rt >= ResTopic && rt <= ResUser && operationsOf[rt]&op.bit() != 0
}

// CheckACL refuses an ACL that CreateAcls may not store, with the code that
// Kafka gives (AclControlManager.validateNewAcl, AclsController). Like Kafka it
// does not hold the operation against the resource type: kafka-acls does that,
// and an ACL that nothing asks for does nothing.
func CheckACL(acl cluster.ACL) error {
	switch {
	case acl.ResourceType < int8(ResTopic) || acl.ResourceType > int8(ResUser):
		return invalid("the ACL's resource type %d is unknown or not one that can be stored", acl.ResourceType)
	case acl.PatternType != PatternLiteral && acl.PatternType != PatternPrefixed:
		return invalid("the ACL's pattern type %d is not LITERAL (3) or PREFIXED (4)", acl.PatternType)
	case Operation(acl.Operation).bit() == 0:
		return invalid("the ACL's operation %d is unknown or not one that can be stored", acl.Operation)
	case acl.Permission != PermissionAllow && acl.Permission != PermissionDeny:
		return invalid("the ACL's permission type %d is not DENY (2) or ALLOW (3)", acl.Permission)
	case acl.ResourceName == "":
		return invalid("Resource name should not be empty")
	case acl.ResourceType == int8(ResCluster) && acl.ResourceName != ClusterName:
		return invalid("the only cluster resource is %q, and not %q", ClusterName, acl.ResourceName)
	case acl.Host == "":
		return invalid("the ACL's host is empty; \"*\" stands for every host")
	}
	if _, err := ParsePrincipal(acl.Principal); err != nil {
		return &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf("the ACL's principal %q is not of the form Type:name, for example User:alice", acl.Principal)}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf(format, args...)}
}
