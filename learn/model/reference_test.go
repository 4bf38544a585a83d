package model

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
	"github.com/mlecs/mlecs/learn/op"
)

// reference is the folder of numbers made by an independent implementation.
func reference(t *testing.T, name string) string {
	root := os.Getenv("MLECS_REFERENCE")
	if root == "" {
		root = "../../../shared/reference"
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no reference numbers: %v (set MLECS_REFERENCE)", err)
	}
	return dir
}

func readTensors(t *testing.T, path string) map[string]adapter.Tensor {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, _, err := adapter.ReadTensors(f, 1<<28)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]adapter.Tensor)
	for _, x := range list {
		all[x.Name] = x
	}
	return all
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
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
	p, err := adapter.ReadPEFT(files[0], files[1], 1<<28)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// referenceCase is a reference backbone with its adapter, soft prompt and batch.
type referenceCase struct {
	base    *Base
	lora    lora
	peft    *adapter.PEFT
	adapter map[string]*parameter
	prompt  *parameter
	numbers map[string]adapter.Tensor
	io      struct {
		InputIDs      [][]int            `json:"input_ids"`
		AttentionMask [][]int            `json:"attention_mask"`
		Labels        [][]int            `json:"labels"`
		Loss          map[string]float64 `json:"loss"`
		Generation    struct {
			New   int `json:"max_new_tokens"`
			Cases []struct {
				Prompt  []int   `json:"prompt_ids"`
				Base    genCase `json:"base"`
				Adapter genCase `json:"adapter"`
				Soft    genCase `json:"soft_prompt_adapter"`
			} `json:"cases"`
		} `json:"generation"`
	}
}

type genCase struct {
	IDs []int `json:"new_ids"`
}

func loadReference(t *testing.T, name string) *referenceCase {
	dir := reference(t, name)
	base, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &referenceCase{base: base, adapter: make(map[string]*parameter)}
	readJSON(t, filepath.Join(dir, "io.json"), &c.io)
	c.peft = readPEFT(t, filepath.Join(dir, "adapter"))
	c.lora = lora{rank: c.peft.Rank, scale: float32(c.peft.Alpha / float64(c.peft.Rank)), targets: c.peft.Targets}
	stored := make(map[string]adapter.Tensor)
	for _, x := range c.peft.Tensors {
		stored[x.Name] = x
	}
	for _, p := range c.lora.parameters(c.base.Config, 1) {
		s, ok := stored[p.Name]
		if !ok || !slices.Equal(s.Shape, p.Shape) {
			t.Fatalf("PEFT's adapter has no %s %v", p.Name, p.Shape)
		}
		copy(p.Data, s.Data)
		c.adapter[p.Name] = p
	}
	if len(stored) != len(c.adapter) {
		t.Fatalf("PEFT's adapter has %d tensors, this model's %d", len(stored), len(c.adapter))
	}
	c.numbers = readTensors(t, filepath.Join(dir, "io.safetensors"))
	soft := c.numbers["soft_prompt"]
	c.prompt = newParameter(1, "soft_prompt", zeros, 1, 1, len(soft.Data))
	copy(c.prompt.Data, soft.Data)
	return c
}

// closeTo fails unless got is within atol + rtol*|want|, and gives the largest difference.
func closeTo(t *testing.T, what string, got, want []float32, atol, rtol float64) (most float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		diff := math.Abs(float64(got[i] - w))
		if !(diff <= atol+rtol*math.Abs(float64(w))) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], w)
		}
		most = max(most, diff)
	}
	return most
}

func TestReferenceGPT2(t *testing.T)  { eachKernel(t, "gpt2-tiny", testReference) }
func TestReferenceLlama(t *testing.T) { eachKernel(t, "llama-tiny", testReference) }

// eachKernel runs a test with a reference model on every kernel.
func eachKernel(t *testing.T, model string, test func(t *testing.T, model string)) {
	kerneltest.Each(t, func(t *testing.T) { test(t, model) })
}

// testReference compares logits, losses and gradients, with and without LoRA and soft prompt.
func testReference(t *testing.T, name string) {
	c := loadReference(t, name)
	weights := c.base.weights()
	for _, test := range []struct {
		name         string
		lora, prompt bool
		gradients    string
	}{
		{"base", false, false, ""},
		{"lora", true, false, "grad_lora_only."},
		{"prompt", false, true, "grad_prompt_only."},
		{"prompt_lora", true, true, "grad."},
	} {
		t.Run(test.name, func(t *testing.T) {
			trained := make(map[string]*parameter)
			l := lora{}
			if test.lora {
				l = c.lora
				for name, p := range c.adapter {
					trained[name] = p
				}
			}
			rows, slots, dim := len(c.io.InputIDs), len(c.io.InputIDs[0]), c.base.Config.Dim
			embed := &op.Embed{Rows: rows, Slots: slots, From: make([]int32, rows)} // every row continues the one soft prompt
			if test.prompt {
				trained[c.prompt.Name] = c.prompt
				embed.Prompt = len(c.prompt.Data) / dim
			}
			for i, ids := range c.io.InputIDs {
				for j, id := range ids {
					if c.io.AttentionMask[i][j] == 0 {
						id = -1
					}
					embed.IDs = append(embed.IDs, int32(id))
				}
			}
			steps := embed.Prompt + slots
			loss := &op.CrossEntropy{}
			for i, labels := range c.io.Labels {
				for j, id := range labels {
					if id >= 0 && embed.Prompt+j > 0 {
						loss.At = append(loss.At, int32(i*steps+embed.Prompt+j-1))
						loss.Target = append(loss.Target, int32(id))
					}
				}
			}

			b := newBuilder(trained, c.base.Tensors, weights, true)
			var prompts *gorgonia.Node
			if test.prompt {
				prompts = b.tensor(c.prompt.Name)
			}
			hidden, _ := b.decode(c.base.Config, l, embed, prompts, 0)
			node := b.apply(loss, hidden, b.head(c.base.Config))
			var cost *gorgonia.Node
			if len(trained) > 0 {
				cost = b.apply(&op.Total{Weights: []float64{1}}, node)
			}
			if err := b.finish(cost); err != nil {
				t.Fatal(err)
			}
			b.g.Run()
			got := float64(op.Floats(node)[0])
			lossDiff := math.Abs(got - c.io.Loss[test.name])
			if !(lossDiff <= 5e-6) {
				t.Errorf("loss %v, want %v", got, c.io.Loss[test.name])
			}

			name := "logits"
			if test.name != "base" {
				name += "_" + test.name
			}
			want, vocab := c.numbers[name], c.base.Config.Vocab
			h := op.Floats(hidden)
			var logitDiff, gradDiff float64
			for i, mask := range c.io.AttentionMask {
				for j := range steps {
					if j >= embed.Prompt && mask[j-embed.Prompt] == 0 {
						continue
					}
					at := i*steps + j
					logitDiff = max(logitDiff, closeTo(t, name, logitsOf(c.base, h[at*dim:][:dim]), want.Data[at*vocab:][:vocab], 2e-5, 0))
				}
			}
			for i, g := range b.grads {
				p := b.params[i]
				gradDiff = max(gradDiff, closeTo(t, test.gradients+p.Name, g, c.numbers[test.gradients+p.Name].Data, 2e-6, 1e-4))
			}
			if len(b.params) != len(trained) {
				t.Errorf("%d gradients, want %d", len(b.params), len(trained))
			}
			t.Logf("largest differences: logits %.1e, loss %.1e, gradients %.1e", logitDiff, lossDiff, gradDiff)
		})
	}
}

// logitsOf is the head in float64.
func logitsOf(base *Base, hidden []float32) []float32 {
	head, d := base.Tensors[base.Config.arch().names().head].Data, len(hidden)
	out := make([]float32, len(head)/d)
	for id := range out {
		var sum float64
		for j, v := range hidden {
			sum += float64(v) * float64(head[id*d+j])
		}
		out[id] = float32(sum)
	}
	return out
}

func TestReferenceGPT2Greedy(t *testing.T)  { eachKernel(t, "gpt2-tiny", testReferenceGreedy) }
func TestReferenceLlamaGreedy(t *testing.T) { eachKernel(t, "llama-tiny", testReferenceGreedy) }

func testReferenceGreedy(t *testing.T, name string) {
	c := loadReference(t, name)
	steps := c.io.Generation.New
	decode := func(l lora, trained map[string]*parameter, prompts []float32, texts [][]int) [][]int {
		prompt := len(prompts) / c.base.Config.Dim
		d := newDecoding(c.base, l, trained, prompt, len(texts), c.base.Config.positionsFor(prompt, texts, steps))
		var all []float32
		for range texts {
			all = append(all, prompts...)
		}
		d.read(all, texts)
		var ids [][]int
		for _, a := range (ensemble{d}).greedy(steps, 0, -1) {
			ids = append(ids, a.IDs)
		}
		return ids
	}
	var texts, base, adapted, soft [][]int
	for _, g := range c.io.Generation.Cases {
		texts = append(texts, g.Prompt)
		base, adapted, soft = append(base, g.Base.IDs), append(adapted, g.Adapter.IDs), append(soft, g.Soft.IDs)
	}
	for _, test := range []struct {
		name    string
		lora    lora
		prompts []float32
		want    [][]int
	}{
		{"base", lora{}, nil, base},
		{"adapter", c.lora, nil, adapted},
		{"soft prompt and adapter", c.lora, c.prompt.Data, soft},
	} {
		// All rows at once, although their lengths differ, and each alone.
		if got := decode(test.lora, c.adapter, test.prompts, texts); !slices.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		for i, text := range texts {
			if got := decode(test.lora, c.adapter, test.prompts, [][]int{text}); !slices.Equal(got[0], test.want[i]) {
				t.Errorf("%s, row %d alone: %v, want %v", test.name, i, got[0], test.want[i])
			}
		}
	}
}

func TestReferenceGPT2Merged(t *testing.T)  { eachKernel(t, "gpt2-tiny", testReferenceMerged) }
func TestReferenceLlamaMerged(t *testing.T) { eachKernel(t, "llama-tiny", testReferenceMerged) }

func testReferenceMerged(t *testing.T, name string) {
	c := loadReference(t, name)
	merged, err := c.base.Merged(c.peft)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, want := range c.numbers {
		if name, ok := strings.CutPrefix(name, "merged."); ok {
			t.Logf("%s: largest difference %.1e", name, closeTo(t, name, merged.Tensors[name].Data, want.Data, 1e-6, 0))
			compared++
		}
	}
	if compared == 0 {
		t.Error("no merged weights to compare with")
	}
}
