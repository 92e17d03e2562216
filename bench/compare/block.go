package compare

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// marks are the lines between which a block of a file is written by a tool.
func marks(block string) (begin, end string) {
	return "<!-- " + block + ":begin -->", "<!-- " + block + ":end -->"
}

// WriteInto replaces what stands in a block of a file.
func WriteInto(name, block, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	first, last := marks(block)
	begin, end := bytes.Index(old, []byte(first)), bytes.Index(old, []byte(last))
	if begin < 0 || end < begin {
		return fmt.Errorf("%s has no lines %s and %s to write between", name, first, last)
	}
	var b bytes.Buffer
	b.Write(old[:begin+len(first)])
	b.WriteString("\n" + strings.TrimSpace(text) + "\n")
	b.Write(old[end:])
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// WriteBlock is WriteInto for a file that belongs to the tool: a file, or a
// block in it, that is missing is made, under a heading.
func WriteBlock(name, block, heading, text string) error {
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	first, last := marks(block)
	if !bytes.Contains(old, []byte(first)) {
		old = fmt.Appendf(old, "# %s\n\n%s\n%s\n\n", heading, first, last)
		if err := os.WriteFile(name, old, 0o644); err != nil {
			return err
		}
	}
	return WriteInto(name, block, text)
}
