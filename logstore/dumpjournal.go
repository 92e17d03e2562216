package logstore

import (
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// JournalFile is what a .journal file's header says.
type JournalFile struct {
	Version    uint32 `json:"version"`
	Directory  string `json:"directoryId"`
	Generation uint32 `json:"generation"`
	Number     uint64 `json:"number"`
	Blocks     int    `json:"blocks"`
}

// JournalGroup is one commit group as it lies in a file.
type JournalGroup struct {
	Generation uint32 `json:"generation"`
	Seq        uint64 `json:"group"`
	Block      int    `json:"block"`
	Blocks     int    `json:"blocks"`
	// Durable is the last group known to be synced when this one was written.
	Durable uint64 `json:"durableGroup"`
	TimeMs  int64  `json:"timeMs"`
	// Bad lists the numbers within the group of blocks that are not valid.
	Bad    []int          `json:"badBlocks"`
	Frames []JournalFrame `json:"frames"`
}

// JournalFrame is one frame of a group.
type JournalFrame struct {
	// Type is append, durable or logstart.
	Type      string `json:"type"`
	ID        string `json:"topicId"`
	Partition int32  `json:"partition"`
	Segment   int64  `json:"segment"`
	Position  int64  `json:"position"`
	Offset    int64  `json:"offset"`
	Length    int    `json:"length"`
	// Batches is the frame's bytes, as they lie in the segment; not in JSON.
	Batches []byte `json:"-"`
}

var errNoJournal = errors.New("the file does not begin with a journal's header: it was never used or is damaged")

// DumpJournal walks the groups of one .journal file in the order of its blocks
// until an older life of the file begins. f's group is valid during the call.
func DumpJournal(disk vfs.FS, name string, f func(JournalGroup) error) (head JournalFile, err error) {
	file, err := disk.OpenRead(name)
	if err != nil {
		return head, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return head, err
	}
	rf := &ringFile{file: file, name: name, blocks: int(size / journalBlock)}
	if rf.blocks < 1 {
		return head, fmt.Errorf("%s: %w", name, errNoJournal)
	}
	r := &blockReader{file: rf}
	block, err := r.block(0)
	if err != nil {
		return head, err
	}
	h, version, ok := decodeJournalHeader(block)
	if !ok {
		return head, fmt.Errorf("%s: %w", name, errNoJournal)
	}
	head = JournalFile{version, TopicID(h.dir).String(), h.generation, h.number, rf.blocks}
	groups, err := scanFile(r)
	if err != nil {
		return head, err
	}
	for i := range groups {
		g, err := dumpGroup(&groups[i])
		if err != nil {
			return head, err
		}
		if err := f(g); err != nil {
			return head, err
		}
	}
	return head, nil
}

func dumpGroup(g *groupRef) (JournalGroup, error) {
	d := JournalGroup{
		Generation: g.generation, Seq: g.seq, Block: g.block, Blocks: g.info.blocks,
		Durable: g.info.durable, TimeMs: g.info.time, Bad: append([]int{}, g.bad...), Frames: []JournalFrame{},
	}
	var head [frameHeader]byte
	for off, n := groupHeader, 0; n < g.info.frames && off+frameHeader <= g.info.length && !g.damaged(off, frameHeader); n++ {
		if err := g.read(head[:], off); err != nil {
			return d, err
		}
		f, length := getFrameHeader(head[:])
		span := frameSpan(length)
		if length < 0 || off+span > g.info.length {
			return d, fmt.Errorf("journal %s group %d: a frame of %d bytes does not fit its group", g.file.name, g.seq, length)
		}
		frame := JournalFrame{
			Type: f.typ.String(), ID: f.id.String(), Partition: f.partition,
			Segment: f.segBase, Position: f.pos, Offset: f.offset, Length: length,
		}
		if !g.damaged(off, span) {
			frame.Batches = make([]byte, length)
			if err := g.read(frame.Batches, off+frameHeader); err != nil {
				return d, err
			}
		}
		d.Frames = append(d.Frames, frame)
		off += span
	}
	return d, nil
}

// String is the type's name in dumps.
func (t frameType) String() string {
	switch t {
	case frameAppend:
		return "append"
	case frameDurable:
		return "durable"
	case frameLogStart:
		return "logstart"
	}
	return fmt.Sprintf("type %d", uint8(t))
}
