package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The text checkpoints in <data>/logs, in Kafka's format
// (OffsetCheckpointFile.java): a version line "0", a count, then one line
// "<topic> <partition> <offset>" each. Our own recovery reads the binary
// checkpoint (checkpointfile.go); these are written so that Kafka's tools, and
// Kafka itself, can take the directory over after a clean stop.
const (
	fileRecoveryPoints = "recovery-point-offset-checkpoint"
	fileLogStarts      = "log-start-offset-checkpoint"
	fileHighWatermarks = "replication-offset-checkpoint"
	fileCleanerPoints  = "cleaner-offset-checkpoint"
	fileMetaProperties = "meta.properties"
	fileCleanShutdown  = ".kafka_cleanshutdown"

	maxOffsetFile = 64 << 20
)

// partitionOffset is one line of an offset checkpoint.
type partitionOffset struct {
	topic     string
	partition int32
	offset    int64
}

func encodeOffsets(lines []partitionOffset) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(lines))
	for _, l := range lines {
		fmt.Fprintf(&b, "%s %d %d\n", l.topic, l.partition, l.offset)
	}
	return b.Bytes()
}

// readOffsets reads an offset checkpoint; a missing file is empty.
func readOffsets(disk vfs.FS, name string) ([]partitionOffset, error) {
	b, err := readFile(disk, name, maxOffsetFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := decodeOffsets(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lines, nil
}

func decodeOffsets(text string) ([]partitionOffset, error) {
	rows := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(rows) < 2 || strings.TrimSpace(rows[0]) != "0" {
		return nil, errors.New("the offset checkpoint does not start with version 0 and a count")
	}
	n, err := strconv.Atoi(strings.TrimSpace(rows[1]))
	if err != nil || n != len(rows)-2 {
		return nil, fmt.Errorf("the offset checkpoint announces %q lines and has %d", rows[1], len(rows)-2)
	}
	out := make([]partitionOffset, 0, n)
	for _, row := range rows[2:] {
		f := strings.Fields(row)
		if len(f) != 3 {
			return nil, fmt.Errorf("the line %q is not topic, partition, offset", row)
		}
		p, err1 := strconv.ParseInt(f[1], 10, 32)
		o, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("the line %q is not topic, partition, offset", row)
		}
		out = append(out, partitionOffset{f[0], int32(p), o})
	}
	return out, nil
}
