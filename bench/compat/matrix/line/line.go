// Package line is a client program's side of the matrix: commands come as lines
// on standard input, what happened goes out as lines of tab-separated fields.
//
//	produce TOPIC CODEC N              acked OFFSET …, end
//	consume TOPIC LAST                 record OFFSET TIME KEY VALUE …, end
//	member TOPIC GROUP LAST            record …, end
//
// Keys and values are in hex, null is ~, a client without timestamps says -1.
// Instead of the end there may be «error TEXT». The programs in scripts/ speak
// the same without this package.
package line

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Client is what a Go program of the matrix brings.
type Client interface {
	// Produce sends records 0 to n-1 to partition 0 in order, and tells the
	// offset of each one's acknowledgement.
	Produce(topic, codec string, n int, acked func(offset int64)) error
	// Consume reads partition 0 from the start up to offset last.
	Consume(topic string, last int64, saw func(Record)) error
	// Member reads topic as the one member of group up to offset last or
	// beyond, commits what it read, and leaves.
	Member(topic, group string, last int64, saw func(Record)) error
}

// Record is one that a client read.
type Record struct {
	Offset, Time int64
	Key, Value   []byte
}

// FirstTime is the timestamp of record 0, in milliseconds; record i has i more.
const FirstTime = 1500000000000

// Key is record i's key: null for some.
func Key(i int) []byte {
	if i%7 == 3 && i%11 != 5 {
		return nil
	}
	return fmt.Appendf(nil, "key-%d", i)
}

// Value is record i's value: null for some.
func Value(i int) []byte {
	if i%11 == 5 {
		return nil
	}
	return fmt.Appendf(nil, "value %d %s", i, strings.Repeat("abcdefg", i%40))
}

// Serve carries out commands until the input ends.
func Serve(c Client) {
	out := bufio.NewWriter(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := serve(c, strings.Fields(in.Text()), out); err != nil {
			fmt.Fprintf(out, "error\t%s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, "end")
		}
		if err := out.Flush(); err != nil {
			os.Exit(1)
		}
	}
}

func serve(c Client, f []string, out *bufio.Writer) error {
	saw := func(r Record) {
		fmt.Fprintf(out, "record\t%d\t%d\t%s\t%s\n", r.Offset, r.Time, field(r.Key), field(r.Value))
	}
	last, err := strconv.ParseInt(f[len(f)-1], 10, 64)
	if err != nil {
		return err
	}
	switch f[0] {
	case "produce":
		return c.Produce(f[1], f[2], int(last), func(offset int64) { fmt.Fprintf(out, "acked\t%d\n", offset) })
	case "consume":
		return c.Consume(f[1], last, saw)
	case "member":
		return c.Member(f[1], f[2], last, saw)
	}
	return fmt.Errorf("there is no command %s", f[0])
}

func field(b []byte) string {
	if b == nil {
		return "~"
	}
	return hex.EncodeToString(b)
}
