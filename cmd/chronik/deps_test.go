package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/chronik-stream/chronik/"

// imports is the architecture: which of our packages a package may import, and
// which modules from outside. Data flows one way. Do not change the table to
// fix a build: move the code.
var imports = map[string]struct {
	ours    string
	outside string
}{
	"mmap":           {"", "golang.org/x/sys"},
	"codec/compress": {"", "github.com/klauspost/compress github.com/pierrec/lz4"},
	"codec/record":   {"codec/compress", "github.com/twmb/franz-go/pkg/kmsg"},
	"codec":          {"codec/record codec/compress", "github.com/twmb/franz-go/pkg/kmsg"},
	"logstore/vfs":   {"mmap", "golang.org/x/sys"},
	"logstore":       {"mmap logstore/vfs codec/record codec/compress", "github.com/zeebo/xxh3 golang.org/x/sys"},
	"cluster":        {"logstore codec codec/record", "github.com/twmb/franz-go/pkg/kmsg"},
	"group":          {"logstore cluster codec codec/record", "github.com/twmb/franz-go/pkg/kmsg"},
	"group/txn":      {"group logstore cluster codec codec/record", "github.com/twmb/franz-go/pkg/kmsg"},
	"auth":           {"cluster codec", "github.com/golang-jwt/jwt/v5 github.com/MicahParks/keyfunc/v3 github.com/MicahParks/jwkset golang.org/x/time"},
	"netloop":        {"codec mmap", "github.com/panjf2000/gnet/v2 golang.org/x/sys"},
	"broker": {"netloop codec codec/record codec/compress logstore logstore/vfs cluster group group/txn auth mmap",
		"github.com/twmb/franz-go/pkg/kmsg golang.org/x/sys"},
	"admin":          {"broker cluster logstore group group/txn auth netloop", "github.com/prometheus go.opentelemetry.io"},
	"bench":          {"", "github.com/twmb/franz-go github.com/HdrHistogram/hdrhistogram-go go.yaml.in/yaml/v3 golang.org/x/sys"},
	"bench/powercut": {"", "github.com/hanwen/go-fuse/v2 golang.org/x/sys"}, // a module of its own
	"cmd/chronik":    {"broker admin bench logstore logstore/vfs codec/record cluster", "github.com/spf13 github.com/twmb/franz-go golang.org/x/sys"},
}

// TestImports walks every package and holds it against the table.
func TestImports(t *testing.T) {
	root := "../.."
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || rel == "bench/compat") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		rule, ok := lookup(pkg)
		if !ok {
			t.Errorf("%s: package %s is not in the import table", rel, pkg)
			return nil
		}
		seen[pkg] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			switch {
			case strings.HasPrefix(name, module):
				own := strings.TrimPrefix(name, module)
				insideBench := (own == "bench" || strings.HasPrefix(own, "bench/")) && (pkg == "cmd/chronik" || strings.HasPrefix(pkg, "bench"))
				if !insideBench && !slices.Contains(strings.Fields(rule.ours), own) {
					t.Errorf("%s imports %s, which %s may not", rel, own, pkg)
				}
			case strings.Contains(strings.SplitN(name, "/", 2)[0], "."):
				if !slices.ContainsFunc(strings.Fields(rule.outside), func(allowed string) bool {
					return name == allowed || strings.HasPrefix(name, allowed+"/")
				}) {
					t.Errorf("%s imports %s, which %s may not", rel, name, pkg)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range imports {
		if !seen[pkg] {
			t.Errorf("package %s is in the import table and has no Go file", pkg)
		}
	}
}

// lookup finds a package's rule; what sits under bench and has none follows bench's.
func lookup(pkg string) (rule struct{ ours, outside string }, ok bool) {
	r, ok := imports[pkg]
	if !ok && strings.HasPrefix(pkg, "bench/") {
		r, ok = imports["bench"]
	}
	return r, ok
}
