package broker

import (
	"context"
	"errors"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// errCode is a Kafka error code (Errors.java).
type errCode = int16

// The codes that this package answers with.
const (
	errNone                       errCode = 0
	errUnknownServer              errCode = -1
	errOffsetOutOfRange           errCode = 1
	errCorruptMessage             errCode = 2
	errUnknownTopicOrPartition    errCode = 3
	errLeaderNotAvailable         errCode = 5
	errNotLeaderOrFollower        errCode = 6
	errRequestTimedOut            errCode = 7
	errMessageTooLarge            errCode = 10
	errCoordinatorLoadInProgress  errCode = 14
	errCoordinatorNotAvailable    errCode = 15
	errInvalidTopic               errCode = 17
	errRecordListTooLarge         errCode = 18
	errNotEnoughReplicas          errCode = 19
	errInvalidRequiredAcks        errCode = 21
	errInconsistentGroupProtocol  errCode = 23
	errInvalidGroupID             errCode = 24
	errTopicAuthorization         errCode = 29
	errGroupAuthorization         errCode = 30
	errClusterAuthorization       errCode = 31
	errInvalidTimestamp           errCode = 32
	errUnsupportedSaslMechanism   errCode = 33
	errIllegalSaslState           errCode = 34
	errUnsupportedVersion         errCode = 35
	errTopicExists                errCode = 36
	errInvalidPartitions          errCode = 37
	errInvalidReplicationFactor   errCode = 38
	errInvalidReplicaAssignment   errCode = 39
	errInvalidConfig              errCode = 40
	errInvalidRequest             errCode = 42
	errPolicyViolation            errCode = 44
	errOutOfOrderSequence         errCode = 45
	errInvalidProducerEpoch       errCode = 47
	errInvalidTxnState            errCode = 48
	errInvalidProducerIDMapping   errCode = 49
	errConcurrentTransactions     errCode = 51
	errTransactionCoordFenced     errCode = 52
	errTransactionalAuthorization errCode = 53
	errSecurityDisabled           errCode = 54
	errOperationNotAttempted      errCode = 55
	errStorage                    errCode = 56
	errLogDirNotFound             errCode = 57
	errSaslAuthenticationFailed   errCode = 58
	errTokenAuthorization         errCode = 65
	errFetchSessionNotFound       errCode = 70
	errFetchSessionEpoch          errCode = 71
	errTopicDeletionDisabled      errCode = 73
	errFencedLeaderEpoch          errCode = 74
	errUnknownLeaderEpoch         errCode = 75
	errUnsupportedCompression     errCode = 76
	errElectionNotNeeded          errCode = 84
	errNoReassignment             errCode = 85
	errInvalidRecord              errCode = 87
	errThrottlingQuotaExceeded    errCode = 89
	errProducerFenced             errCode = 90
	errResourceNotFound           errCode = 91
	errDuplicateResource          errCode = 92
	errInvalidUpdateVersion       errCode = 95
	errUnknownTopicID             errCode = 100
	errBrokerIDNotRegistered      errCode = 102
	errInconsistentTopicID        errCode = 103
	errInconsistentClusterID      errCode = 104
	errFetchSessionTopicID        errCode = 106
	errMismatchedEndpoint         errCode = 114
	errUnsupportedEndpoint        errCode = 115
	errUnknownSubscriptionID      errCode = 117
	errTelemetryTooLarge          errCode = 118
	errTransactionAbortable       errCode = 120
	errInvalidRegularExpression   errCode = 128
)

// logCodes maps what a log answers to Kafka's codes; the first match counts.
var logCodes = []struct {
	err  error
	code errCode
}{
	{logstore.ErrCorrupt, errCorruptMessage},
	{logstore.ErrInvalidTimestamp, errInvalidTimestamp},
	{logstore.ErrInvalidRecord, errInvalidRecord},
	{logstore.ErrTooLarge, errMessageTooLarge},
	{logstore.ErrSegmentTooSmall, errRecordListTooLarge},
	{logstore.ErrUnsupportedCodec, errUnsupportedCompression},
	{logstore.ErrOutOfOrderSequence, errOutOfOrderSequence},
	{logstore.ErrProducerEpoch, errInvalidProducerEpoch},
	{logstore.ErrTxnState, errInvalidTxnState},
	{logstore.ErrCoordinatorFenced, errTransactionCoordFenced},
	{logstore.ErrOutOfRange, errOffsetOutOfRange},
	{logstore.ErrOffline, errStorage},
	{logstore.ErrNoFiles, errStorage}, // retriable, for producers and consumers
	{logstore.ErrCordoned, errInvalidReplicationFactor},
	{logstore.ErrReadOnly, errStorage},
	{logstore.ErrDamaged, errStorage},
	{logstore.ErrClosed, errNotLeaderOrFollower},
	{logstore.ErrNotReady, errNotLeaderOrFollower},
	// Retriable, and clients know it: the broker cannot take the batch now.
	{logstore.ErrDiskFull, errNotEnoughReplicas},
	{logstore.ErrBusy, errNotEnoughReplicas},
	// Not retriable, so that a runaway client of producer ids notices.
	{logstore.ErrTooManyProducers, errPolicyViolation},
	{cluster.ErrTooManyPartitions, errPolicyViolation},
	{cluster.ErrTooLarge, errInvalidRequest},
	{cluster.ErrConfigSubscription, errInvalidRequest},
	{cluster.ErrConfigValue, errInvalidConfig},
	{cluster.ErrConfigUnknown, errInvalidConfig},
	{cluster.ErrConfigReadOnly, errInvalidRequest},
	{cluster.ErrClosed, errCoordinatorNotAvailable},
	{context.DeadlineExceeded, errRequestTimedOut},
}

// codeOf is the Kafka code of an error from below; 0 for nil.
func codeOf(err error) errCode {
	if err == nil {
		return errNone
	}
	var own *apiError
	if errors.As(err, &own) {
		return own.code
	}
	var refused *auth.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	for _, m := range logCodes {
		if errors.Is(err, m.err) {
			return m.code
		}
	}
	return errUnknownServer
}

// apiError is an error that carries its Kafka code and a sentence for the
// client.
type apiError struct {
	code    errCode
	message string
}

func (e *apiError) Error() string { return e.message }

func refuse(code errCode, message string) *apiError { return &apiError{code, message} }
