package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
)

// checkAdapter: every node can hand out the last aggregate's adapter, running or stopped, for PEFT and merged into the base model.
func checkAdapter(t *testing.T, name string, src api.Source, rounds []api.Round) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "adapter")
	a, files, err := ExportAdapter(t.Context(), src, dir, ExportOptions{Base: "./base"})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	last := rounds[len(rounds)-1]
	if a.Of != "aggregate" || a.CID != last.Aggregate || a.Round != last.Round || !slices.Equal(files, []string{"adapter_config.json", "adapter_model.safetensors"}) {
		t.Errorf("%s exports %+v as %q, want the last aggregate's adapter", name, a, files)
	}
	p := readPEFT(t, dir)
	if p.Rank != 2 || p.Alpha != 16 || !p.FanInFanOut || p.Base != "./base" || !slices.Equal(p.Targets, []string{"attn.c_attn", "attn.c_proj"}) {
		t.Errorf("%s: adapter %+v", name, p)
	}
	if _, _, err := ExportAdapter(t.Context(), src, dir, ExportOptions{}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("%s: a folder that holds something: %v", name, err)
	}

	both := filepath.Join(t.TempDir(), "both")
	if _, files, err := ExportAdapter(t.Context(), src, both, ExportOptions{WithBase: true}); err != nil || len(files) != 5 {
		t.Fatalf("%s: with the base model: %q, %v", name, files, err)
	}
	beside, err := model.ReadFolder(filepath.Join(both, "base"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if p := readPEFT(t, both); p.Base != filepath.Join(both, "base") {
		t.Errorf("%s: the adapter's base model is %q", name, p.Base)
	}

	merged := filepath.Join(t.TempDir(), "merged")
	if _, _, err := ExportAdapter(t.Context(), src, merged, ExportOptions{Merge: true}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := model.ReadFolder(merged)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	blob, err := os.ReadFile(a.BaseFile)
	if err != nil {
		t.Fatal(err)
	}
	base, err := model.ReadBase(bytes.NewReader(blob), maxBase)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range base.Tensors {
		if !slices.Equal(x.Data, beside.Tensors[name].Data) {
			t.Errorf("%s beside the adapter is not the base's", name)
		}
	}
	want, err := p.Merge(func(name string) (adapter.Tensor, bool) { x, ok := base.Tensors[name]; return x, ok })
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range want {
		if slices.Equal(x.Data, base.Tensors[x.Name].Data) || !slices.Equal(got.Tensors[x.Name].Data, x.Data) {
			t.Errorf("%s: %s is not the base's with the adapter in it", name, x.Name)
		}
	}
	if got.Tokenizer == nil || got.Tokenizer.End() != base.Tokenizer.End() || !slices.Equal(got.Tokenizer.Encode("dark slow"), base.Tokenizer.Encode("dark slow")) {
		t.Errorf("%s: the merged model has another tokenizer", name)
	}

	delta := last.Inputs[0].Delta
	a, err = src.Adapter(t.Context(), delta[:len(delta)-4])
	switch {
	case err == nil:
		if a.Of != "delta" || a.CID != delta || a.Round != last.Round {
			t.Errorf("%s: adapter of a delta %+v", name, a)
		}
	case !errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "is not on this node"):
		t.Errorf("%s: adapter of a delta: %v", name, err)
	}
	if _, err := src.Adapter(t.Context(), "bafyNone"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("%s: adapter of no delta: %v", name, err)
	}
}

func readPEFT(t *testing.T, dir string) *adapter.PEFT {
	t.Helper()
	var files [2]*os.File
	for i, name := range []string{adapter.PEFTConfigFile, adapter.PEFTModelFile} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	p, err := adapter.ReadPEFT(files[0], files[1], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAdapterBeforeAnythingIsLearned(t *testing.T) {
	h, err := Init(t.TempDir(), Config{Name: "new"})
	if err != nil {
		t.Fatal(err)
	}
	src, release, err := h.Source()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := src.Adapter(t.Context(), ""); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestExportAdapterRefusesDamage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blob")
	writeFileT(t, file, []byte("not what it was"))
	a := &api.Adapter{File: file, Component: api.Component{CID: "bafkreib", Bytes: 15, Codec: "safetensors", Params: 1}}
	if _, err := exportAdapter(a, ExportOptions{}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}
