package auth

import "fmt"

// Error is a refusal with the code that a Kafka client gets for it.
type Error struct {
	Code    int16
	Message string // for the client; holds no secret
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// Kafka's error codes that this package answers with (Errors.java).
const (
	CodeUnsupportedMechanism   int16 = 33
	CodeIllegalSaslState       int16 = 34
	CodeInvalidRequest         int16 = 42
	CodePolicyViolation        int16 = 44
	CodeSaslFailed             int16 = 58
	CodeTokenDisabled          int16 = 61
	CodeTokenNotFound          int16 = 62
	CodeTokenOwnerMismatch     int16 = 63
	CodeTokenNotAllowed        int16 = 64
	CodeTokenUnauthorized      int16 = 65
	CodeTokenExpired           int16 = 66
	CodeInvalidPrincipalType   int16 = 67
	CodeThrottled              int16 = 89
	CodeResourceNotFound       int16 = 91
	CodeDuplicateResource      int16 = 92
	CodeUnacceptableCredential int16 = 93
)
