package auth

// Kind says why an authentication was refused. It is for the audit log and the
// metrics; the client learns only what Kafka would tell it.
type Kind string

const (
	KindBadPassword  Kind = "bad_password"
	KindUnknownUser  Kind = "unknown_user"
	KindExpired      Kind = "expired"       // a token's time is over, or has not come
	KindBadSignature Kind = "bad_signature" // also an unknown key or a refused algorithm
	KindIssuer       Kind = "issuer"
	KindAudience     Kind = "audience"
	KindScope        Kind = "scope"
	KindAuthzID      Kind = "authorization_id" // asked to act as somebody else
	KindPrincipal    Kind = "principal"        // another one at re-authentication
	KindMechanism    Kind = "mechanism"        // not enabled here
	KindCertificate  Kind = "certificate"
	KindMalformed    Kind = "malformed"
	KindRate         Kind = "rate" // too many failures from there
	KindTimeout      Kind = "timeout"
	KindInternal     Kind = "internal"
)

// Failure is a refused authentication. It never holds a password, a token or a
// proof.
type Failure struct {
	Kind Kind
	// User is the name that was claimed, cut to 256 bytes; "" when it was not
	// even learnt. It is the client's word and must be quoted wherever it goes.
	User string
	// Detail is for the operator.
	Detail string
}

func (f *Failure) Error() string {
	return "authentication refused (" + string(f.Kind) + "): " + f.Detail
}

// maxClaimed bounds what a stranger can put into the audit log by a name.
const maxClaimed = 256

func claimed(user string) string {
	if len(user) > maxClaimed {
		return user[:maxClaimed]
	}
	return user
}
