package broker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// auditTopic appends the audit log's lines to a topic, one record each, for
// Options.AuditTopic. The topic has one partition, is made when it is not there
// (also when somebody deletes it), and is read and written by ACLs as any other.
// What cannot be appended stays with the audit log, which tries again and lets
// administrative changes wait.
type auditTopic struct {
	b    *Broker
	name string
}

// auditAppend is a line on its way; the token of its append.
type auditAppend struct {
	b     *Broker
	batch []byte
}

// append is auth.AuditOptions.Sink. The audit log's writer only.
func (t *auditTopic) append(line []byte) error {
	log := t.b.logOf(t.name, 0)
	if log == nil {
		spec := topicSpec{name: t.name, partitions: 1, replication: 1,
			configs: map[string]string{"max.message.bytes": strconv.Itoa(auditRecord)}}
		if err := t.b.createTopics(context.Background(), []topicSpec{spec})[0]; err != nil {
			return fmt.Errorf("broker: the topic %s of the audit log (--audit-topic) cannot be made: %w", t.name, err)
		}
		if log = t.b.logOf(t.name, 0); log == nil {
			return fmt.Errorf("broker: the topic %s of the audit log (--audit-topic) was deleted while it was made", t.name)
		}
	}
	now := time.Now().UnixMilli()
	b := record.NewBuilder(nil, record.DefaultBuilderOptions())
	b.Append(now, nil, line[:len(line)-1]) // without the end of line
	batch, err := b.Finish()
	if err != nil {
		return fmt.Errorf("broker: an audit line does not make a record: %w", err)
	}
	_, err = log.Append(&logstore.Append{Batches: batch, Origin: logstore.Coordinator, Token: &auditAppend{t.b, batch}, Now: now})
	if err != nil {
		return fmt.Errorf("broker: the topic %s of the audit log (--audit-topic) cannot be written: %w", t.name, err)
	}
	return nil
}

// auditRecord is the largest record of the topic. A line holds names of 256
// bytes at most, but configurations are as long as they are.
const auditRecord = 16 << 20

// done hears from the disk.
func (a *auditAppend) done(err error) {
	if err != nil {
		a.b.logger.Error("a line of the audit log did not become durable in its topic; the file has it", "error", err)
	}
}

// checkAuditTopic refuses names that are no topic's, or the broker's own.
func checkAuditTopic(name string) error {
	if name == "" {
		return nil
	}
	if err := cluster.CheckTopicName(name); err != nil {
		return fmt.Errorf("broker: the topic of the audit log (--audit-topic): %w", err)
	}
	if isInternal(name) || name == cluster.MetadataTopic {
		return fmt.Errorf("broker: the topic of the audit log (--audit-topic) cannot be %s, which the broker keeps for itself", name)
	}
	return nil
}
