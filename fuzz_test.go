package mlecs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// decoders are exported functions that read bytes, text or a stream, by their name.
var decoders = regexp.MustCompile(`^(Parse|Decode|Extract|Unmarshal|ReadTensors|ReadBase|ReadPEFT)`)

// fuzzedThrough are decoders that need no target of their own, and why.
var fuzzedThrough = map[string]string{
	"learn/adapter.ReadTensorsExcept": "ReadTensors hands its bytes on",
	"learn/kernel.ParseDType":         "looks a name up",
}

// TestEveryDecoderHasAFuzzTarget finds functions that read bytes and that no fuzz target of their package calls.
func TestEveryDecoderHasAFuzzTarget(t *testing.T) {
	found := 0
	for dir, files := range sourceFiles(t) {
		targets := ""
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				targets += fuzzBodies(t, f)
			}
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			for _, name := range decodersOf(t, f) {
				found++
				if _, ok := fuzzedThrough[dir+"."+name]; ok {
					continue
				}
				if !regexp.MustCompile(`\b` + name + `\(`).MatchString(targets) {
					t.Errorf("%s: %s reads bytes, and no fuzz target of its package calls it", f, name)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d decoders found: the rule for their names no longer fits", found)
	}
}

// sourceFiles are the Go files of each folder.
func sourceFiles(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			all[filepath.ToSlash(filepath.Dir(path))] = append(all[filepath.ToSlash(filepath.Dir(path))], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parsed(t *testing.T, path string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, file
}

// fuzzBodies is the text of the fuzz targets of a file.
func fuzzBodies(t *testing.T, path string) (text string) {
	t.Helper()
	set, file := parsed(t, path)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Fuzz") {
			text += string(source[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
		}
	}
	return text
}

// decodersOf are the functions of a file that read bytes, text or a stream.
func decodersOf(t *testing.T, path string) (names []string) {
	t.Helper()
	_, file := parsed(t, path)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || !decoders.MatchString(f.Name.Name) {
			continue
		}
		for _, p := range f.Type.Params.List {
			if reads(p.Type) {
				names = append(names, f.Name.Name)
				break
			}
		}
	}
	return names
}

// reads tells whether a parameter is bytes, text or a stream.
func reads(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ArrayType:
		id, ok := e.Elt.(*ast.Ident)
		return ok && id.Name == "byte"
	case *ast.Ident:
		return e.Name == "string"
	case *ast.SelectorExpr:
		return strings.HasPrefix(e.Sel.Name, "Read")
	}
	return false
}
