package broker

import (
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
)

// onCommit is told of every commit group by a committer. It must not wait; it
// takes only leaf locks: a partition's list of waiters and the loops' mailboxes.
func (b *Broker) onCommit(advanced []logstore.Advance, done []logstore.Done) {
	for i := range done {
		d := &done[i]
		switch token := d.Token.(type) {
		case *producePart:
			token.err = d.Err
			token.loop.deliver(token)
		case *markerAppend:
			token.done(d.Err)
		case *auditAppend:
			token.done(d.Err)
		case nil:
		default:
			if !cluster.Done(*d) {
				group.ShardDone(*d)
			}
		}
	}
	for i := range advanced {
		if p, ok := advanced[i].Log.Attachment.(*partition); ok {
			p.waiters.wake()
		}
	}
	if loops := b.loopList.Load(); loops != nil {
		for _, l := range *loops {
			l.room()
		}
	}
}
