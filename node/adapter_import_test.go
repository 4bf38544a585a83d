package node

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// TestAdapterComesBack: what a node exports, an edge and a new federation begin with, bit by bit.
func TestAdapterComesBack(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	c.nodes["super"].start()
	edge := c.join("edge")
	edge.start()
	for _, m := range c.nodes {
		m.until("is done", isDone)
	}
	for _, m := range c.nodes {
		m.halt()
	}
	dir := filepath.Join(t.TempDir(), "adapter")
	src, release, err := edge.home.Source()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ExportAdapter(t.Context(), src, dir, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	release()
	want := readPEFT(t, dir)
	same := func(who string, h *Home, round uint64) {
		t.Helper()
		got, ok, err := h.givenAdapter(round)
		if err != nil || !ok || len(got.Tensors) != len(want.Tensors) {
			t.Fatalf("%s begins with %d tensors (%v), %v", who, len(got.Tensors), ok, err)
		}
		for i, x := range got.Tensors {
			if x.Name != want.Tensors[i].Name || !slices.Equal(x.Data, want.Tensors[i].Data) {
				t.Errorf("%s: tensor %s came back as another one", who, x.Name)
			}
		}
	}

	store, err := openStore(edge.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edge.home.ImportAdapter(dir); err == nil || !strings.Contains(err.Error(), "stop the node") {
		t.Errorf("import beside a running node: %v", err)
	}
	store.Close()
	done, err := edge.home.ImportAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	if done.Round != 2 || done.Rank != 2 || done.Base.Name != "given" {
		t.Errorf("imported %+v", done)
	}
	same("the edge", edge.home, 1)
	if _, err := c.nodes["super"].home.ImportAdapter(dir); err == nil || !strings.Contains(err.Error(), "is no edge") {
		t.Errorf("import into a super-peer: %v", err)
	}

	for name, spoil := range map[string]func(*adapter.PEFT){
		"lora_alpha is 3; the model's is 16": func(p *adapter.PEFT) { p.Alpha = 3 },
		"is missing": func(p *adapter.PEFT) {
			p.Tensors = slices.DeleteFunc(p.Tensors, func(x adapter.Tensor) bool { return strings.Contains(x.Name, "c_proj") })
			p.Targets = []string{"attn.c_attn"}
		},
	} {
		p := readPEFT(t, dir)
		spoil(p)
		bad := t.TempDir()
		var config, weights bytes.Buffer
		if err := p.Write(&config, &weights); err != nil {
			t.Fatal(err)
		}
		writeFileT(t, filepath.Join(bad, adapter.PEFTConfigFile), config.Bytes())
		writeFileT(t, filepath.Join(bad, adapter.PEFTModelFile), weights.Bytes())
		if _, err := edge.home.ImportAdapter(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}

	founder := c.home("founder", func(cfg *Config) { cfg.Data = filepath.Join(c.dir, "super-rows") })
	spec := FederationSpec{
		Name: "again", Data: filepath.Join(c.dir, "super-rows"), EdgeBases: []string{filepath.Join(c.dir, "edge.safetensors")},
		SuperBase: filepath.Join(c.dir, "super.safetensors"), Method: tinyMethod(), Share: method.DefaultShare(), Adapter: dir,
		Policy: record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000},
	}
	spec.Method.Spec.Rank = 4
	if _, err := founder.home.CreateFederation(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "r is 2; the model's LoRA has rank 4") {
		t.Errorf("another rank: %v", err)
	}
	spec.Method.Spec.Rank = 2
	if _, err := founder.home.CreateFederation(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	same("the federation", founder.home, 0)
}
