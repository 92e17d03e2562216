package group

import (
	"errors"

	"github.com/chronik-stream/chronik/logstore"
)

// Kafka's error codes that a coordinator answers with (Errors.java).
const (
	codeNone                    int16 = 0
	codeUnknownServerError      int16 = -1
	codeUnknownTopicOrPartition int16 = 3
	codeOffsetMetadataTooLarge  int16 = 12
	codeCoordinatorLoading      int16 = 14
	codeCoordinatorNotAvailable int16 = 15
	codeNotCoordinator          int16 = 16
	codeIllegalGeneration       int16 = 22
	codeInconsistentProtocol    int16 = 23
	codeInvalidGroupID          int16 = 24
	codeUnknownMemberID         int16 = 25
	codeInvalidSessionTimeout   int16 = 26
	codeRebalanceInProgress     int16 = 27
	codeUnsupportedVersion      int16 = 35
	codeInvalidRequest          int16 = 42
	codeInvalidProducerEpoch    int16 = 47
	codeInvalidTxnState         int16 = 48
	codeNonEmptyGroup           int16 = 68
	codeGroupIDNotFound         int16 = 69
	codeMemberIDRequired        int16 = 79
	codeGroupMaxSizeReached     int16 = 81
	codeFencedInstanceID        int16 = 82
	codeGroupSubscribedToTopic  int16 = 86
	codeUnstableOffsetCommit    int16 = 88
	codeUnknownTopicID          int16 = 100
	codeFencedMemberEpoch       int16 = 110
	codeUnreleasedInstanceID    int16 = 111
	codeUnsupportedAssignor     int16 = 112
	codeStaleMemberEpoch        int16 = 113
	codeInvalidRegex            int16 = 128
)

// What a shard answers when it cannot serve.
var (
	// ErrLoading: the shard reads its log; the client tries again.
	ErrLoading = errors.New("group: the coordinator still reads this partition's log; try again")
	// ErrUnavailable: the shard's log failed, is not open or is being given up.
	ErrUnavailable = errors.New("group: the coordinator's partition cannot be written to at the moment; try again")
	// ErrFull: the shard's queue of requests is full.
	ErrFull = errors.New("group: the coordinator's queue is full; try again")
	// ErrClosed: the coordinator was closed, or the partition does not exist any more.
	ErrClosed = errors.New("group: the coordinator is closed")
	// ErrFenced: the log refuses the producer's epoch.
	ErrFenced = errors.New("group: the log refuses the producer id's epoch")
)

// codeOf is the code a client gets for a shard's or the store's error. nil is
// no error. The retriable codes are chosen so that every client generation
// tries again: NOT_COORDINATOR makes it look the coordinator up anew.
func codeOf(err error) int16 {
	switch {
	case err == nil:
		return codeNone
	case errors.Is(err, ErrLoading), errors.Is(err, logstore.ErrNotReady):
		return codeCoordinatorLoading
	case errors.Is(err, ErrFull), errors.Is(err, logstore.ErrBusy), errors.Is(err, logstore.ErrDiskFull):
		return codeCoordinatorNotAvailable
	case errors.Is(err, logstore.ErrTooLarge), errors.Is(err, logstore.ErrSegmentTooSmall):
		return codeUnknownServerError
	case errors.Is(err, logstore.ErrProducerEpoch), errors.Is(err, ErrFenced):
		return codeInvalidProducerEpoch
	case errors.Is(err, logstore.ErrTxnState), errors.Is(err, logstore.ErrOutOfOrderSequence):
		return codeInvalidTxnState
	}
	return codeNotCoordinator
}

// refusal is why a state machine refuses a request: a code and, for the
// versions that carry one, a sentence.
type refusal struct {
	code int16
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int16, text string) *refusal { return &refusal{code, text} }
