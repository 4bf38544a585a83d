package data_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func TestOpen(t *testing.T) {
	dir := folder(t, map[string]string{
		"metadata.jsonl": "\ufeff" + strings.Join([]string{
			`{"id": "a", "image_file_name": "./image/a.png", "sensor_file_name": "sensor/a.csv", "target": "still", "domain": "home-1", "split": "train", "sequence": "s1", "label": 7}`,
			``,
			`{"image_file_name": "image/b.JPG", "text": "hello there", "target": "walking", "domain": 12, "split": "test", "sensor_file_name": null}`,
		}, "\r\n"),
		"dataset.json": `{"name": "two rows", "generated": true, "seed": 3}`,
		"image/a.png":  plain(color.Black),
		"image/b.JPG":  "not looked into yet",
		"sensor/a.csv": "t,x\n0,1\n1,2\n",
	})
	s, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []data.Row{
		{ID: "a", Files: map[string]string{"image": "image/a.png", "sensor": "sensor/a.csv"}, Target: "still", Domain: "home-1",
			Split: "train", Fields: map[string]any{"sequence": "s1", "label": json.Number("7")}, Line: 1},
		{ID: "row-3", Files: map[string]string{"image": "image/b.JPG"}, Text: "hello there", Target: "walking", Domain: "12",
			Split: "test", Fields: map[string]any{}, Line: 3},
	}
	if !reflect.DeepEqual(s.Rows, want) {
		t.Errorf("rows\n %+v, want\n %+v", s.Rows, want)
	}
	if got := s.Modalities(); !reflect.DeepEqual(got, []string{"image", "sensor", "text"}) {
		t.Errorf("modalities %v", got)
	}
	if want := map[string]string{"image": data.Image, "sensor": data.Series, "text": data.Text}; !reflect.DeepEqual(s.Kinds, want) {
		t.Errorf("kinds %v, want %v", s.Kinds, want)
	}
	if s.Name != "two rows" || !s.Generated {
		t.Errorf("name %q, generated %v", s.Name, s.Generated)
	}
	if s.Rows[0].Sequence() != "s1" || s.Rows[1].Sequence() != "" {
		t.Errorf("sequences %q and %q", s.Rows[0].Sequence(), s.Rows[1].Sequence())
	}
	sub := s.Subset(s.Rows[:1])
	if got := sub.Modalities(); !reflect.DeepEqual(got, []string{"image", "sensor"}) || len(sub.Rows) != 1 || len(s.Rows) != 2 {
		t.Errorf("subset has modalities %v and %d rows", got, len(sub.Rows))
	}
	if len(s.Training()) != 1 || len(s.Testing()) != 1 || s.Testing()[0].ID != "row-3" {
		t.Errorf("training %v, testing %v", s.Training(), s.Testing())
	}
}

func TestOpenNamesTheFolderWithoutDescription(t *testing.T) {
	s := open(t, map[string]string{"metadata.jsonl": `{"text": "x"}`})
	if s.Name != filepath.Base(s.Dir) || s.Generated {
		t.Errorf("name %q of %s, generated %v", s.Name, s.Dir, s.Generated)
	}
}

func TestOpenErrors(t *testing.T) {
	cases := []struct {
		name     string
		metadata string
		want     string // in the error
	}{
		{"missing file", `{"image_file_name": "image/x.png"}`, `metadata.jsonl:1: field "image_file_name": file image/x.png is missing`},
		{"line is counted with blank ones", "\n\n" + `{"image_file_name": "image/x.png"}`, `metadata.jsonl:3: field`},
		{"empty file", `{"image_file_name": "empty.png"}`, `field "image_file_name": file empty.png is empty`},
		{"folder as file", `{"image_file_name": "folder.png"}`, `file folder.png is not a regular file`},
		{"unknown extension", `{"image_file_name": "notes.txt"}`, `file notes.txt has an unknown type; known are .csv .jpeg .jpg .png .wav`},
		{"absolute path", `{"image_file_name": "/etc/x.png"}`, `path /etc/x.png is not within the data set's folder`},
		{"escaping path", `{"image_file_name": "a/../../x.png"}`, `path a/../../x.png is not within the data set's folder`},
		{"backslash", `{"image_file_name": "a\\x.png"}`, `has a backslash`},
		{"symbolic link out of the folder", `{"image_file_name": "link.png"}`, `file link.png: path escapes`},
		{"path is no string", `{"image_file_name": 3}`, `field "image_file_name": not a string`},
		{"modality's name", `{"../x_file_name": "ok.png"}`, `cannot name a modality`},
		{"text with files", `{"text_file_name": "ok.png"}`, `"text" cannot name a modality with files`},
		{"file_name alone", `{"file_name": "ok.png"}`, `field "file_name": the key must say which modality`},
		{"no modality", `{"target": "x"}`, `metadata.jsonl:1: the row has no modality`},
		{"bad JSON", "{\"text\": \"x\"}\n{\"text\": x}", `metadata.jsonl:2: not a JSON object: invalid character 'x'`},
		{"not an object", `["text"]`, `metadata.jsonl:1: not a JSON object`},
		{"null", `null`, `metadata.jsonl:1: not a JSON object`},
		{"two objects", `{"text": "x"} {}`, `metadata.jsonl:1: more than one JSON object`},
		{"not UTF-8", "{\"text\": \"\xff\"}", `metadata.jsonl:1: the line is not UTF-8`},
		{"long line", "{}\n" + `{"text": "` + strings.Repeat("x", 1<<20) + `"}`, `metadata.jsonl:2: the line is longer than 1024 KiB`},
		{"duplicate id", "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"a\", \"text\": \"y\"}", `metadata.jsonl:2: field "id": "a" is already the id of line 1`},
		{"id is a list", `{"id": [], "text": "x"}`, `field "id": not a string`},
		{"control character", `{"domain": "a\nb", "text": "x"}`, `field "domain": "a\nb" has control characters`},
		{"unknown split", `{"split": "dev", "text": "x"}`, `field "split": "dev" is not one of train, validation, test`},
		{"long target", `{"text": "x", "target": "` + strings.Repeat("y", 5000) + `"}`, `field "target": 5000 bytes, more than the limit of 4096`},
		{"two kinds", "{\"a_file_name\": \"ok.png\"}\n{\"a_file_name\": \"ok.csv\"}", `metadata.jsonl:2: field "a_file_name": file ok.csv is series, but line 1 says that a is image`},
		{"too many modalities", manyModalities(), `more than 16 modalities`},
		{"no rows", "\n", `metadata.jsonl has no rows`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string]string{
				"metadata.jsonl": c.metadata, "ok.png": plain(color.Black), "ok.csv": "t,x\n0,1\n1,2\n", "empty.png": "", "folder.png/x": "x",
			})
			outside := filepath.Join(t.TempDir(), "secret.png")
			if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(dir, "link.png")); err != nil {
				t.Fatal(err)
			}
			_, err := data.Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func manyModalities() string {
	var keys []string
	for i := range 17 {
		keys = append(keys, fmt.Sprintf(`"m%d_file_name": "ok.png"`, i))
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func TestOpenTellsTheFirstProblems(t *testing.T) {
	_, err := data.Open(folder(t, map[string]string{"metadata.jsonl": strings.Repeat(`{"image_file_name": "x.png", "split": "?"}`+"\n", 100)}))
	if err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(err.Error(), "metadata.jsonl:"); n != 10 {
		t.Errorf("%d problems, want 10:\n%v", n, err)
	}
	if !strings.Contains(err.Error(), "metadata.jsonl:5:") {
		t.Errorf("not the first ones: %v", err)
	}
}

func TestOpenWithoutMetadata(t *testing.T) {
	_, err := data.Open(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "one JSON object a row") {
		t.Errorf("error %v", err)
	}
	if _, err := data.Open(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	_, err = data.Open(folder(t, map[string]string{"metadata.jsonl": `{"text": "x"}`, "dataset.json": `[]`}))
	if err == nil || !strings.Contains(err.Error(), "dataset.json") {
		t.Errorf("error %v", err)
	}
}

func TestEncodeRows(t *testing.T) {
	source := lines(
		`{"id": "a", "image_file_name": "a.png", "sensor_file_name": "a.csv", "target": "<still>", "domain": "d", "split": "train", "big": 12345678901234567890, "sequence": "s"}`,
		`{"id": "b", "text": "hello"}`,
	)
	rows, err := data.DecodeRows(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		keep []string
		want string
	}{
		{"all", nil, source},
		{"one modality", []string{"image"}, `{"id": "a", "image_file_name": "a.png", "target": "<still>", "domain": "d", "split": "train", "big": 12345678901234567890, "sequence": "s"}` + "\n"},
		{"text", []string{"text"}, `{"id": "b", "text": "hello"}` + "\n"},
		{"none", []string{}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := data.EncodeRows(&out, rows, c.keep); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("got\n%swant\n%s", out.String(), c.want)
			}
		})
	}
}

func FuzzDecodeRows(f *testing.F) {
	f.Add([]byte(`{"id": "a", "image_file_name": "a.png", "text": "t", "target": "x", "sequence": [1, {"a": null}]}`))
	f.Add([]byte("\ufeff{\"id\": 1e3, \"sensor_file_name\": \"../a.csv\"}\r\n{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rows, err := data.DecodeRows(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := data.EncodeRows(&out, rows, nil); err != nil {
			t.Fatal(err)
		}
		again, err := data.DecodeRows(&out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		for i := range again {
			again[i].Line = rows[i].Line
			for _, file := range again[i].Files {
				if !filepath.IsLocal(file) {
					t.Errorf("path %q leaves the folder", file)
				}
			}
		}
		if !reflect.DeepEqual(rows, again) {
			t.Errorf("rows\n %+v, and after writing and reading\n %+v", rows, again)
		}
	})
}
