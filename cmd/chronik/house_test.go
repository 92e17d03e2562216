package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHouseRules holds what no linter of others checks: no panic, log.Fatal or
// os.Exit outside cmd and bench, no bare go statement, no unfinished marks, no
// file beyond 600 lines.
func TestHouseRules(t *testing.T) {
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		test := strings.HasSuffix(rel, "_test.go")
		generated := bytes.Contains(src, []byte("// Code generated"))
		if n := bytes.Count(src, []byte("\n")); n > 600 && !test && !generated {
			t.Errorf("%s has %d lines; split it by noun", rel, n)
		}
		for _, mark := range []string{"TO" + "DO", "FIX" + "ME", "X" + "XX", "not yet " + "implemented"} {
			if bytes.Contains(src, []byte(mark)) {
				t.Errorf("%s carries the mark %q", rel, mark)
			}
		}
		if test {
			if bytes.Contains(src, []byte("time."+"Sleep(")) {
				t.Errorf("%s sleeps; wait for a condition or use testing/synctest", rel)
			}
			return nil
		}
		if strings.HasPrefix(rel, "cmd/") || strings.HasPrefix(rel, "bench/") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if !strings.Contains(lineOf(src, set.Position(n.Pos()).Line), "// recovers:") {
					t.Errorf("%s: a goroutine starts without the function that recovers", set.Position(n.Pos()))
				}
			case *ast.CallExpr:
				name := callee(n)
				switch name {
				case "log.Fatal", "log.Fatalf", "os.Exit":
					t.Errorf("%s: %s ends the process", set.Position(n.Pos()), name)
				case "panic":
					if !strings.Contains(lineOf(src, set.Position(n.Pos()).Line), "\"BUG: ") {
						t.Errorf("%s: panic that is not a BUG: of ours", set.Position(n.Pos()))
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func callee(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

func lineOf(src []byte, n int) string {
	lines := bytes.SplitN(src, []byte("\n"), n+1)
	if len(lines) < n {
		return ""
	}
	return string(lines[n-1])
}
