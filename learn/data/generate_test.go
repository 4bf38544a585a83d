package data_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func generated(t testing.TB, opt data.GenerateOptions) *data.Set {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "generated")
	if err := data.Generate(dir, opt); err != nil {
		t.Fatal(err)
	}
	s, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGenerate(t *testing.T) {
	calls := 0
	s := generated(t, data.GenerateOptions{Homes: 3, RowsPerHome: 40, Seed: 5, Progress: func(done, total int) {
		calls++
		if done != calls || total != 120 {
			t.Errorf("call %d says %d of %d", calls, done, total)
		}
	}})
	if calls != 120 || len(s.Rows) != 120 {
		t.Fatalf("%d calls, %d rows", calls, len(s.Rows))
	}
	if !s.Generated || s.Name != "generated homes" {
		t.Errorf("name %q, generated %v", s.Name, s.Generated)
	}
	if want := map[string]string{"sensor": data.Series, "image": data.Image, "audio": data.Audio}; !reflect.DeepEqual(s.Kinds, want) {
		t.Errorf("kinds %v", s.Kinds)
	}
	splitOf := make(map[string]string)
	rows, test := make(map[string]int), make(map[string]int)
	for _, row := range s.Rows {
		rows[row.Domain]++
		if row.Split == "test" {
			test[row.Domain]++
		}
		if before, ok := splitOf[row.Sequence()]; ok && before != row.Split || row.Sequence() == "" {
			t.Errorf("sequence %q is both %s and %s", row.Sequence(), before, row.Split)
		}
		splitOf[row.Sequence()] = row.Split
		if want := fmt.Sprintf("%v %v %v", row.Fields["motion"], row.Fields["posture"], row.Fields["sound"]); row.Target != want {
			t.Errorf("row %s: target %q, but the fields say %q", row.ID, row.Target, want)
		}
	}
	for _, home := range []string{"home-1", "home-2", "home-3"} {
		if rows[home] != 40 || test[home] != 10 {
			t.Errorf("%s has %d rows, %d of them for testing", home, rows[home], test[home])
		}
	}
	if _, err := data.Inspect(s.Dir); err != nil {
		t.Error(err)
	}
}

func TestGeneratedDivides(t *testing.T) {
	s := generated(t, data.GenerateOptions{Homes: 3, RowsPerHome: 40, Seed: 5})
	for edges := 1; edges <= 7; edges++ {
		p := split(t, s, data.PartitionOptions{Edges: edges, PublicFraction: 0.25, Seed: 7})
		if edges > 1 {
			if err := modalityError(p, s.Modalities()); err != nil {
				t.Errorf("%d edges: %v", edges, err)
			}
		}
		if len(p.Public) < 18 || len(p.Public) > 27 {
			t.Errorf("%d edges: %d public rows of 90", edges, len(p.Public))
		}
	}
}

// content is every file of a folder by path.
func content(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGenerateIsDeterministic(t *testing.T) {
	opt := data.GenerateOptions{Homes: 2, RowsPerHome: 10, Seed: 5}
	a, b := content(t, generated(t, opt).Dir), content(t, generated(t, opt).Dir)
	if !reflect.DeepEqual(a, b) {
		t.Error("equal options give other bytes")
	}
	opt.Seed++
	other := content(t, generated(t, opt).Dir)
	for name := range a {
		if strings.HasSuffix(name, ".csv") && bytes.Equal(a[name], other[name]) {
			t.Errorf("another seed gives the same %s", name)
		}
	}
}

// More homes leave the media of the others as they are, since every row has a random stream of its own.
func TestGenerateGrows(t *testing.T) {
	few := content(t, generated(t, data.GenerateOptions{Homes: 1, RowsPerHome: 40, Seed: 5}).Dir)
	many := content(t, generated(t, data.GenerateOptions{Homes: 2, RowsPerHome: 40, Seed: 5}).Dir)
	for name, before := range few {
		if filepath.Dir(name) != "." && !bytes.Equal(before, many[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestGenerateErrors(t *testing.T) {
	cases := []struct {
		name string
		opt  data.GenerateOptions
	}{
		{"negative homes", data.GenerateOptions{Homes: -1}},
		{"too many homes", data.GenerateOptions{Homes: 101}},
		{"too few rows", data.GenerateOptions{RowsPerHome: 7}},
		{"too many rows", data.GenerateOptions{RowsPerHome: 10_001}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := data.Generate(t.TempDir(), c.opt); err == nil {
				t.Error("no error")
			}
		})
	}
	dir := folder(t, map[string]string{"metadata.jsonl": `{"text": "mine"}`})
	if err := data.Generate(dir, data.GenerateOptions{Homes: 1, RowsPerHome: 8}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("generating over a data set: error %v", err)
	}
}

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		if err := data.Generate(filepath.Join(b.TempDir(), "g"), data.GenerateOptions{Homes: 1, RowsPerHome: 100}); err != nil {
			b.Fatal(err)
		}
	}
}
