package broker

// A loop that has appended, or whose coordinator has, commits it itself, at the
// end of its batch of events, when the disk is quick and the group small: see
// logstore's leader.go. It is a logstore.Leader and a netloop.Errand.

// Run commits what the loop has appended. The loop is lent meanwhile.
func (l *loop) Run() { l.b.store.Lead(l) }

// LeadIsLate has another goroutine go on with the loop. Any goroutine.
func (l *loop) LeadIsLate() { l.nl.HandOver() }

// LeadAgain has the loop commit once more, before it sleeps. Any goroutine.
func (l *loop) LeadAgain() {
	l.mail.mu.Lock()
	l.mail.lead = true
	l.post()
}
