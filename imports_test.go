package mlecs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mlecs/mlecs/"

// layers are the top-level packages, each with those that its code may import beside itself.
var layers = map[string][]string{
	"cmd":     {"testnet", "node", "p2p", "learn", "storage"},
	"testnet": {"node", "p2p", "learn", "storage"},
	"node":    {"p2p", "learn", "storage"},
	"p2p":     {"storage"},
	"learn":   {},
	"storage": {},
}

// forbidden are imports of single packages, by prefix, that the layers alone would allow.
var forbidden = map[string][]string{
	"learn/kernel":  {"gorgonia.org/gorgonia", "gorgonia.org/tensor", module + "learn/"},
	"learn/adapter": {module + "learn/op", module + "learn/model", module + "learn/method", module + "learn/data", "gorgonia.org/"},
	"learn/privacy": {module},
	"learn/op":      {module + "learn/model", module + "learn/method", module + "learn/data"},
	"learn/model":   {module + "learn/method", module + "learn/data"},
	"learn/method":  {"github.com/libp2p/", "net"},
	"learn/data":    {module + "learn/model", module + "learn/method", "gorgonia.org/"},
	"storage":       {"github.com/libp2p/go-libp2p/p2p"},
	"node/api":      {module + "learn", module + "p2p", module + "storage", module + "node"},
	"node/web":      {module},
}

// TestImportDirection keeps imports running one way: cmd -> testnet -> node -> {p2p, learn} -> storage.
func TestImportDirection(t *testing.T) {
	seen := map[string]bool{}
	for file, imports := range goFiles(t) {
		dir := path.Dir(file)
		top, _, _ := strings.Cut(dir, "/")
		if top == "." {
			continue // the tests of the whole module
		}
		allowed, ok := layers[top]
		if !ok {
			t.Errorf("%s: %s is none of the top-level packages; they are fixed", file, top)
			continue
		}
		seen[top] = true
		for _, imp := range imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				layer, _, _ := strings.Cut(own, "/")
				if layer != top && !slices.Contains(allowed, layer) {
					t.Errorf("%s imports %s: %s may import of this module only itself and %v", file, imp, top, allowed)
				}
			}
			if strings.HasSuffix(file, "_test.go") {
				continue // tests may drive the package by others of its layer
			}
			for of, prefixes := range forbidden {
				if dir != of && !strings.HasPrefix(dir, of+"/") {
					continue
				}
				for _, p := range prefixes {
					if within(imp, p) && !within(imp, module+of) {
						t.Errorf("%s imports %s: %s must not", file, imp, of)
					}
				}
			}
		}
	}
	for layer := range layers {
		if !seen[layer] {
			t.Errorf("no Go file found in %s: the test looks in the wrong place", layer)
		}
	}
}

// within tells whether an import is prefix, or a package below it.
func within(imp, prefix string) bool {
	return imp == prefix || strings.HasPrefix(imp, strings.TrimSuffix(prefix, "/")+"/")
}

// goFiles are all Go files of the module with what they import, by slash-separated path.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || nested(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		list := []string{}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			list = append(list, imp)
		}
		files[filepath.ToSlash(name)] = list
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// nested tells whether dir is a module of its own.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// TestFilesStaySmall keeps files readable in one sitting.
func TestFilesStaySmall(t *testing.T) {
	const most = 600
	for file := range goFiles(t) {
		b, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b[:min(len(b), 400)]), "Code generated") {
			continue
		}
		if n := strings.Count(string(b), "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d: split it", file, n, most)
		}
	}
}

// TestPackagesAreNouns refuses names that say nothing.
func TestPackagesAreNouns(t *testing.T) {
	for file := range goFiles(t) {
		for _, empty := range []string{"util", "utils", "common", "helpers", "helper", "types", "misc", "manager"} {
			base := strings.TrimSuffix(path.Base(file), ".go")
			if path.Base(path.Dir(file)) == empty || base == empty {
				t.Errorf("%s: %q says nothing about what is in it", file, empty)
			}
		}
	}
}
