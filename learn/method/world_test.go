package method_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// The world of these tests: two sensors give eight features each, one of three patterns in noise, and the target names both ("red
// circle"). A node with one sensor can tell one word only.
var (
	colours = []string{"red", "green", "blue"}
	forms   = []string{"circle", "square", "star"}
	sensorA = model.Modality{Name: "a", Kind: model.Text, Shape: []int{8}}
	sensorB = model.Modality{Name: "b", Kind: model.Text, Shape: []int{8}}
	both    = []model.Modality{sensorA, sensorB}
)

const (
	noise      = 1.2 // of observations; prototypes have standard deviation 1
	publicRows = 160
)

// observe makes n examples named prefix-0 and on.
func observe(prefix string, n int, noise float64, modalities []model.Modality) []method.Example {
	shapes := rand.New(rand.NewPCG(1, 1))
	prototypes := map[string][3][8]float32{}
	for _, m := range both {
		var p [3][8]float32
		for i := range p {
			for j := range p[i] {
				p[i][j] = float32(shapes.NormFloat64())
			}
		}
		prototypes[m.Name] = p
	}
	var key [32]byte
	copy(key[:], prefix)
	random := rand.New(rand.NewChaCha8(key))
	rows := make([]method.Example, n)
	for i := range rows {
		seen := map[string]int{"a": random.IntN(3), "b": random.IntN(3)}
		rows[i] = method.Example{ID: fmt.Sprintf("%s-%d", prefix, i), Inputs: map[string][]float32{}, Target: colours[seen["a"]] + " " + forms[seen["b"]]}
		for _, m := range modalities {
			x := make([]float32, 8)
			for j := range x {
				x[j] = prototypes[m.Name][seen[m.Name]][j] + float32(noise*random.NormFloat64())
			}
			rows[i].Inputs[m.Name] = x
		}
	}
	return rows
}

func withoutTargets(rows []method.Example) []method.Example {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Target = ""
	}
	return rows
}

func testConfig() method.Config {
	c := method.Default()
	c.Spec.Width, c.Spec.Projection, c.Spec.Fused, c.Spec.Prompt, c.Spec.Rank = 4, 8, 16, 2, 2
	c.CCLSteps, c.AMTSteps, c.CloudSteps, c.Batch, c.LR = 3, 3, 3, 8, 5e-3
	c.MaxTokens, c.AdaptSteps = 6, 3
	c.ProxyWeight = 1                                                                           // what they do has tests of its own
	c.Codec, c.AggregateCodec, c.SupervisionCodec = "safetensors", "safetensors", "safetensors" // what is lost otherwise has tests of its own
	return c
}

// bases are a small and a large base on one tokenizer.
var bases = sync.OnceValues(func() ([2]*model.Base, error) {
	var texts []string
	for _, c := range colours {
		for _, f := range forms {
			texts = append(texts, c+" "+f)
		}
	}
	var out [2]*model.Base
	tok, err := model.TrainTokenizer(texts, 300)
	if err != nil {
		return out, err
	}
	for i, dim := range []int{16, 32} {
		cfg := model.Config{Layers: 1, Dim: dim, Heads: 2, Vocab: tok.Size(), Positions: 16, Eps: 1e-5}
		out[i], err = model.Pretrain(context.Background(), cfg, tok, texts, model.PretrainOptions{Steps: 60, Batch: 8, LR: 5e-3, Seed: 1})
		if err != nil {
			return out, err
		}
	}
	return out, nil
})

func testBases(t testing.TB) (small, large *model.Base) {
	t.Helper()
	b, err := bases()
	if err != nil {
		t.Fatal(err)
	}
	return b[0], b[1]
}

// federation is a cloud and three edges, with all, the first, and the second modality.
type federation struct {
	cloud *method.Cloud
	edges []*method.Edge
}

var edgeModalities = [][]model.Modality{both, {sensorA}, {sensorB}}

func newFederation(t testing.TB, cfg method.Config, private int, share []string) federation {
	t.Helper()
	small, large := testBases(t)
	public := observe("public", publicRows, noise, both)
	cloud, err := method.NewCloud(cfg, large, []*model.Base{small}, both, public, share, "super")
	if err != nil {
		t.Fatal(err)
	}
	f := federation{cloud: cloud}
	for i, modalities := range edgeModalities {
		name := fmt.Sprintf("edge-%d", i)
		e, err := method.NewEdge(cfg, small, modalities, observe(name, private, noise, modalities), withoutTargets(public), share, name)
		if err != nil {
			t.Fatal(err)
		}
		f.edges = append(f.edges, e)
	}
	return f
}

// state is the bytes of all states.
func (f federation) state(t testing.TB) []byte {
	t.Helper()
	var all bytes.Buffer
	for _, w := range f.learners() {
		if err := w.WriteState(&all); err != nil {
			t.Fatal(err)
		}
	}
	return all.Bytes()
}

type restartable interface {
	WriteState(io.Writer) error
	ReadState(io.Reader) error
}

func (f federation) learners() []restartable {
	all := []restartable{f.cloud}
	for _, e := range f.edges {
		all = append(all, e)
	}
	return all
}
