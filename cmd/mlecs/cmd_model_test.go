package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// TestModelImport trains a Llama, takes it apart into a HuggingFace folder, imports that, and founds a federation on it.
func TestModelImport(t *testing.T) {
	dir := t.TempDir()
	text, rows := filepath.Join(dir, "words.txt"), filepath.Join(dir, "rows")
	if err := os.WriteFile(text, []byte(strings.Repeat("walking upright steps\nfalling lying thud\n", 4)), 0o644); err != nil {
		t.Fatal(err)
	}
	trained := filepath.Join(dir, "trained.base")
	out, errOut, code := mlecs("model", "train", "--architecture", "llama", "--text", text, "--layers", "1", "--dim", "16", "--heads", "2",
		"--steps", "2", "--vocab", "270", "--out", trained, "--json")
	if code != exitOK {
		t.Fatalf("train: %d, %s%s", code, out, errOut)
	}
	base, err := readBase(trained)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := base.WriteFolder(folder); err != nil {
		t.Fatal(err)
	}

	imported := filepath.Join(dir, "imported.base")
	out, errOut, code = mlecs("model", "import", folder, "--out", imported, "--json")
	var got, shown, want baseModel
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("import: %d, %s%s: %v", code, out, errOut, err)
	}
	out, _, _ = mlecs("model", "show", trained, "--json")
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatal(err)
	}
	if want.File = imported; got != want || got.Architecture != "llama" || got.CID == "" || got.Params != base.Params() {
		t.Errorf("imported %+v, trained %+v", got, want)
	}
	out, errOut, code = mlecs("model", "show", folder, "--json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != exitOK || shown.Params != got.Params || shown.CID != "" {
		t.Errorf("show of a folder: %d, %s%s: %v", code, out, errOut, err)
	}
	if out, errOut, code = mlecs("model", "show", imported); code != exitOK || !strings.Contains(out, got.CID) || !strings.Contains(out, "llama: 1 layers") {
		t.Errorf("show: %d, %s%s", code, out, errOut)
	}

	t.Setenv("MLECS_HOME", filepath.Join(dir, "home"))
	if _, errOut, code := mlecs("data", "generate", rows, "--homes", "1", "--rows-per-home", "8"); code != exitOK {
		t.Fatalf("generate: %d, %s", code, errOut)
	}
	if _, errOut, code := mlecs("federation", "create", "--data", rows, "--edge-base", imported, "--super-base", imported); code != exitOK {
		t.Fatalf("federation create: %d, %s", code, errOut)
	}
	if out, _, _ := mlecs("models"); !strings.Contains(out, got.CID) {
		t.Errorf("models does not list the imported one:\n%s", out)
	}
}

func TestModelImportRefuses(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(`{"model_type":"mamba"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	out, folder := filepath.Join(dir, "out.base"), filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	tok, err := model.TrainTokenizer([]string{"walking upright"}, 257)
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Config{Layers: 1, Dim: 4, Heads: 1, Vocab: tok.Size(), Positions: 8, Eps: 1e-5}
	base, err := model.Pretrain(t.Context(), cfg, tok, []string{"walking upright"}, model.PretrainOptions{Steps: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := base.WriteFolder(folder); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no output", []string{"model", "import", dir}, exitUsage, "--out"},
		{"no folder", []string{"model", "import", "--out", out}, exitUsage, "folder"},
		{"an unknown architecture", []string{"model", "import", dir, "--out", out}, exitFailure, `"mamba"`},
		{"a folder that is not there", []string{"model", "import", filepath.Join(dir, "no"), "--out", out}, exitFailure, "config.json"},
		{"an end that is no token", []string{"model", "import", folder, "--out", out, "--end", "</s>"}, exitUsage, "end-of-text"},
		{"show of nothing", []string{"model", "show", filepath.Join(dir, "no")}, exitFailure, "no"},
		{"show of another file", []string{"model", "show", config}, exitFailure, "safetensors"},
		{"another architecture to train", []string{"model", "train", "--architecture", "mamba", "--text", config, "--out", out}, exitUsage, "mamba"},
	} {
		if _, errOut, code := mlecs(c.args...); code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("%s: exit code %d, %s; want %d and %q", c.name, code, errOut, c.code, c.says)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused model was written")
	}
}
