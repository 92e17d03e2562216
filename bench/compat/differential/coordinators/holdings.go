package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// uneven says how the members of the operation's consumer group hold other
// numbers of partitions in the one broker than in the other; "" when they do
// not. Who gets one more than the others goes by member ids that a broker makes,
// and what a member is told to do follows from what it and the others hold.
func (r *run) uneven(what string) string {
	for _, g := range r.groups {
		if !strings.Contains(what, g.id) {
			continue
		}
		if k, c := r.holdings(kafka, g), r.holdings(chronik, g); k != c {
			return fmt.Sprintf("members hold %s in Kafka, %s in Chronik", k, c)
		}
	}
	return ""
}

// holdings are the group's members as a broker describes them: how many
// partitions each has and how many it is to have.
func (r *run) holdings(b int, g *groupScript) string {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 1, []string{g.id}
	var a answer
	select {
	case a = <-r.peers[b].send(req):
	case <-time.After(lag):
	}
	resp, ok := a.resp.(*kmsg.ConsumerGroupDescribeResponse)
	if !ok || len(resp.Groups) != 1 {
		return a.fate
	}
	var out []string
	for _, m := range resp.Groups[0].Members {
		name, ok := r.byText[b][m.MemberID]
		if !ok {
			name = "another"
		}
		out = append(out, fmt.Sprintf("%s %d of %d", strings.TrimPrefix(name, g.id+"."), count(m.Assignment), count(m.TargetAssignment)))
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

func count(a kmsg.Assignment) (n int) {
	for _, t := range a.TopicPartitions {
		n += len(t.Partitions)
	}
	return n
}
