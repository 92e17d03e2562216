package compress

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPythonVectors: forms that clients in other languages send; vectors.py
// beside the files wrote them. (Java's are in codec/record.)
func TestPythonVectors(t *testing.T) {
	var want []byte
	for i := range 4000 {
		want = fmt.Appendf(want, "line %d of a text that repeats itself; ", i%50)
	}
	names, err := filepath.Glob("testdata/python/*-*")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d vectors, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		codec, _, _ := strings.Cut(filepath.Base(name), "-")
		c, err := Parse(codec)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{len(want), 1 << 30} {
			if got, err := Decompress(nil, data, c, limit); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes of %d with limit %d: %v", name, len(got), len(want), limit, err)
			}
		}
	}
}
