package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/op"
)

// PretrainOptions of Pretrain. Zero fields take the default in the comment.
type PretrainOptions struct {
	Steps, Batch int     // 200, 16
	LR           float64 // 3e-3 at its peak: warm-up over a tenth of the steps, then a cosine down to a tenth
	Seed         uint64
	Progress     func(step, steps int, loss float64) // after every step; may be nil
}

const (
	pretrainWindow = 64 // longest sequence
	pretrainShift  = 32 // largest position that a sequence begins at
)

// Pretrain trains all weights of a new backbone to predict the next token of texts: each is one document between end-of-text
// tokens, and long ones are cut into windows. Sequences begin at a random position, because in use soft prompts and a text stand
// before what the backbone writes. Equal arguments give equal bits. If ctx ends, its error is returned.
func Pretrain(ctx context.Context, cfg Config, tok *Tokenizer, texts []string, opt PretrainOptions) (*Base, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	if tok == nil || tok.Size() > cfg.Vocab {
		return nil, fmt.Errorf("pretrain: the config's vocab_size %d is less than the tokenizer's", cfg.Vocab)
	}
	if opt.Steps < 0 || opt.Batch < 0 || !(opt.LR >= 0 && opt.LR < 10) {
		return nil, fmt.Errorf("pretrain: %d steps, batch of %d, learning rate %v: want 0 (the default) or more", opt.Steps, opt.Batch, opt.LR)
	}
	if opt.Steps == 0 {
		opt.Steps = 200
	}
	if opt.Batch == 0 {
		opt.Batch = 16
	}
	if opt.LR == 0 {
		opt.LR = 3e-3
	}
	windows := cutWindows(tok, texts, min(pretrainWindow, cfg.Positions))
	if len(windows) == 0 {
		return nil, fmt.Errorf("pretrain: no text to learn from")
	}
	t, err := newPretraining(cfg, opt, windows)
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	for step := range opt.Steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("pretrain: stopped at step %d of %d: %w", step, opt.Steps, err)
		}
		loss, err := t.step(rate(opt, step))
		if err != nil {
			return nil, fmt.Errorf("pretrain: step %d: %w", step, err)
		}
		if opt.Progress != nil {
			opt.Progress(step+1, opt.Steps, loss)
		}
	}
	return &Base{Config: cfg, Tokenizer: tok, Tensors: tensorsOf(t.params)}, nil
}

func tensorsOf(params map[string]*parameter) map[string]adapter.Tensor {
	all := make(map[string]adapter.Tensor, len(params))
	for name, p := range params {
		all[name] = p.Tensor
	}
	return all
}

// rate is the learning rate of a step.
func rate(opt PretrainOptions, step int) float64 {
	warm := max(1, opt.Steps/10)
	if step < warm {
		return opt.LR * float64(step+1) / float64(warm)
	}
	done := float64(step-warm) / float64(max(1, opt.Steps-warm))
	return opt.LR * (0.1 + 0.9*0.5*(1+math.Cos(math.Pi*done)))
}

// cutWindows gives sequences of at most steps+1 tokens: what is read, and one more to predict. Windows of one document overlap by
// that token.
func cutWindows(tok *Tokenizer, texts []string, steps int) [][]int32 {
	var all [][]int32
	for _, text := range texts {
		ids := []int32{int32(tok.End())}
		for _, id := range tok.Encode(text) {
			ids = append(ids, int32(id))
		}
		if len(ids) == 1 {
			continue
		}
		ids = append(ids, int32(tok.End()))
		for len(ids) > 1 {
			n := min(len(ids), steps+1)
			all = append(all, ids[:n])
			ids = ids[n-1:]
		}
	}
	return all
}

// pretraining is the graph that trains a backbone, and where it stands in the windows.
type pretraining struct {
	params  map[string]*parameter
	b       *builder
	embed   *op.Embed
	loss    *op.CrossEntropy
	node    *gorgonia.Node
	windows [][]int32
	order   []int
	random  *rand.Rand
	shift   int // largest offset of a sequence
}

func newPretraining(cfg Config, opt PretrainOptions, windows [][]int32) (*pretraining, error) {
	t := &pretraining{
		params: initialBase(cfg, opt.Seed), windows: windows, loss: &op.CrossEntropy{},
		random: rand.New(rand.NewPCG(opt.Seed, 1)),
	}
	longest := 0
	for _, w := range windows {
		longest = max(longest, len(w)-1)
	}
	t.shift = min(pretrainShift, cfg.Positions-longest)
	t.embed = &op.Embed{Rows: opt.Batch, Slots: longest, IDs: make([]int32, opt.Batch*longest)}
	t.b = newBuilder(t.params, nil, nil, true)
	hidden, _ := t.b.decode(cfg, lora{}, t.embed, nil, 0)
	t.node = t.b.apply(t.loss, hidden, t.b.head(cfg))
	cost := t.b.apply(&op.Total{Weights: []float64{1}}, t.node)
	return t, t.b.finish(cost)
}

// RandomBase is a backbone with the weights that Pretrain begins with and no tokenizer: for measurements, where what it says does
// not matter. The config must be valid.
func RandomBase(cfg Config, seed uint64) *Base {
	cfg = cfg.WithDefaults()
	return &Base{Config: cfg, Tensors: tensorsOf(initialBase(cfg, seed))}
}

// initialBase draws GPT-2's initial weights, with a standard deviation that grows as the dimension shrinks (0.02 at 768).
func initialBase(cfg Config, seed uint64) map[string]*parameter {
	std := 0.02 * math.Sqrt(768/float64(cfg.Dim))
	all := make(map[string]*parameter)
	put := func(t named, fill initial) { all[t.name] = newParameter(seed, t.name, fill, 1, t.shape...) }
	initialise := func(prefix string, p part) {
		weight := normal(std)
		switch {
		case p.norm:
			weight = ones
		case p.residual: // as two maps of every layer are
			weight = normal(std / math.Sqrt(2*float64(cfg.Layers)))
		}
		for i, t := range p.tensors(prefix) {
			if i > 0 {
				weight = zeros
			}
			put(t, weight)
		}
	}
	a := cfg.arch()
	n := a.names()
	for i := range cfg.Layers {
		for _, p := range a.block() {
			initialise(a.prefix(i), p)
		}
	}
	initialise("", n.norm)
	for _, t := range cfg.tensors() {
		switch t.name {
		case n.tokens, n.head:
			put(t, normal(std))
		case n.positions:
			put(t, normal(std/2))
		}
	}
	return all
}

// step trains on the next windows, in a new order every epoch.
func (t *pretraining) step(lr float64) (float64, error) {
	for i := range t.embed.IDs {
		t.embed.IDs[i] = -1
	}
	t.loss.At, t.loss.Target = t.loss.At[:0], t.loss.Target[:0]
	for row := range t.embed.Rows {
		if len(t.order) == 0 {
			t.order = t.random.Perm(len(t.windows))
		}
		w := t.windows[t.order[0]]
		t.order = t.order[1:]
		for j, id := range w[:len(w)-1] {
			at := row*t.embed.Slots + j
			t.embed.IDs[at] = id
			t.loss.At, t.loss.Target = append(t.loss.At, int32(at)), append(t.loss.Target, w[j+1])
		}
	}
	t.embed.Offset = t.random.IntN(t.shift + 1)
	t.b.g.Run()
	return float64(op.Floats(t.node)[0]), update(t.b.params, t.b.grads, Objective{LR: lr, Decay: 0.01, Clip: 1})
}
