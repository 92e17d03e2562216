package differential

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// day in milliseconds: times within it of the clock count as now.
const day = 24 * 60 * 60 * 1000

func clock() int64 { return time.Now().UnixMilli() }

// describeBatches tells what is in a run of v2 batches, but for their CRC and
// compressed bytes: codecs of two languages compress differently.
func describeBatches(b []byte, long func(field string, n int64) string) string {
	var s strings.Builder
	for len(b) > 0 {
		if len(b) < 17 || len(b) < 12+int(int32(binary.BigEndian.Uint32(b[8:]))) {
			fmt.Fprintf(&s, "{cut off}")
			break
		}
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if magic := b[16]; magic < 2 {
			fmt.Fprintf(&s, "{offset %d magic %d}", binary.BigEndian.Uint64(b), magic)
			b = b[size:]
			continue
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b[:size]); err != nil {
			return "unreadable: " + err.Error()
		}
		b = b[size:]
		fmt.Fprintf(&s, "{offset %d epoch %d attributes %d delta %d first %s max %s producer %s epoch %d sequence %d records %d}",
			batch.FirstOffset, batch.PartitionLeaderEpoch, batch.Attributes, batch.LastOffsetDelta, long("", batch.FirstTimestamp), long("", batch.MaxTimestamp),
			long("ProducerID", batch.ProducerID), batch.ProducerEpoch, batch.FirstSequence, batch.NumRecords)
	}
	if s.Len() == 0 {
		return "no records"
	}
	return s.String()
}
