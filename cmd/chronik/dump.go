package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

func newDumpCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dump FILE…",
		Short: "Show what a file of a data directory holds",
		Long: `Show what files of a data directory hold: segments (.log), indexes, producer
snapshots, seals, checkpoints and journals; Kafka's metadata snapshots too. The kind is told from the name. A file
may be read while a broker has it.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			d := dumper{disk: vfs.OS, out: cmd.OutOrStdout(), json: asJSON}
			for _, name := range files {
				if err := d.file(name); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

type dumper struct {
	disk vfs.FS
	out  io.Writer
	json bool
}

// batchLine is one batch of a segment.
type batchLine struct {
	Position      int64 `json:"position"`
	Size          int   `json:"size"`
	BaseOffset    int64 `json:"base_offset"`
	LastOffset    int64 `json:"last_offset"`
	Count         int32 `json:"count"`
	LeaderEpoch   int32 `json:"leader_epoch"`
	Codec         int8  `json:"codec"`
	MaxTimestamp  int64 `json:"max_timestamp"`
	ProducerID    int64 `json:"producer_id"`
	ProducerEpoch int16 `json:"producer_epoch"`
	BaseSequence  int32 `json:"base_sequence"`
	Transactional bool  `json:"transactional"`
	Control       bool  `json:"control"`
}

func (d dumper) file(name string) error {
	kind := name // a file keeps its kind while it waits for deletion or a swap
	for _, s := range []string{".deleted", ".swap", ".cleaned"} {
		kind = strings.TrimSuffix(kind, s)
	}
	switch {
	case strings.HasSuffix(kind, ".log"), strings.HasSuffix(kind, ".checkpoint"): // the latter are Kafka's metadata snapshots
		return logstore.DumpLog(d.disk, name, func(pos int64, b record.Batch) error {
			return d.show(batchLine{pos, len(b), b.BaseOffset(), b.LastOffset(), b.Count(), b.LeaderEpoch(), int8(b.Codec()), b.MaxTimestamp(),
				b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Transactional(), b.Control()})
		})
	case strings.HasSuffix(name, ".journal"):
		head, err := logstore.DumpJournal(d.disk, name, func(g logstore.JournalGroup) error { return d.show(g) })
		if err != nil {
			return err
		}
		return d.show(head)
	}
	v, damage := logstore.Dump(d.disk, name)
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice {
		for i := range list.Len() { // what comes before damage is shown
			if err := d.show(list.Index(i).Interface()); err != nil {
				return err
			}
		}
		return damage
	}
	if damage != nil {
		return damage
	}
	return d.show(v)
}

// show prints one entry: as JSON, or as its fields with their names.
func (d dumper) show(v any) error {
	if d.json {
		return json.NewEncoder(d.out).Encode(v)
	}
	_, err := fmt.Fprintf(d.out, "%+v\n", v)
	return err
}
