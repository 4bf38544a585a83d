package model

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/op"
)

// graphKey is what the shape of a training graph depends on.
type graphKey struct {
	rows, slots int // slots: tokens of a sequence after the soft prompts; 0 without a decoder
	lm, soft    bool
	contrast    string // kind, or ""
	anchor      int    // width of the anchor
}

// stepGraph is one training graph. Its sequences are first those of the LM loss, then those of the soft targets, rows of
// each; both kinds continue the same soft prompts.
type stepGraph struct {
	key     graphKey
	b       *builder
	fusion  *fusion
	embed   *op.Embed
	last    *op.Block // computes only the positions that predict a token of a target
	lm      *op.CrossEntropy
	soft    *op.SoftTarget
	similar *op.Similarity
	gram    *op.Gram
	anchor  []float32
	total   *op.Total

	lmNode, softNode, contrastNode *gorgonia.Node
}

// Step is one optimiser step on b. Graphs are kept per shape of batch. seed gives the dropout. A loss or gradient that is not
// finite changes nothing and is an error.
func (m *Model) Step(b Batch, o Objective, seed uint64) (Loss, error) {
	loss, g, err := m.gradients(b, o, seed)
	if err != nil {
		return Loss{}, fmt.Errorf("step: %w", err)
	}
	gradients := g.b.grads
	if o.Penalty != nil {
		weights := make([]adapter.Tensor, len(g.b.params))
		for i, p := range g.b.params {
			weights[i] = p.Tensor
		}
		o.Penalty(weights, gradients)
	}
	if err := update(g.b.params, gradients, o); err != nil {
		return Loss{}, fmt.Errorf("step: %w", err)
	}
	return loss, nil
}

// gradients runs the graph for b forward and backward.
func (m *Model) gradients(b Batch, o Objective, seed uint64) (Loss, *stepGraph, error) {
	if err := o.validate(); err != nil {
		return Loss{}, nil, err
	}
	n, err := m.rows(b)
	if err != nil {
		return Loss{}, nil, err
	}
	key := graphKey{
		rows: padRows(n),
		lm:   o.LM > 0 && b.Target != nil,
		soft: o.Soft > 0 && b.Soft != nil,
	}
	if o.Contrast > 0 && b.Anchor != nil {
		key.contrast, key.anchor = o.Kind, len(b.Anchor[0])
		if o.Kind != ContrastSimilarity && key.anchor != m.spec.Fused {
			return Loss{}, nil, fmt.Errorf("%w: a Gram volume or cosine needs anchors of %d values, they have %d", ErrBatch, m.spec.Fused, key.anchor)
		}
	}
	if !key.lm && !key.soft && key.contrast == "" {
		return Loss{}, nil, fmt.Errorf("%w: no target, soft target or anchor with a weight above 0", ErrBatch)
	}
	m.seqs = m.sequences(m.seqs[:0], b, n, key)
	seqs := m.seqs
	if key.lm || key.soft {
		longest := 1
		for _, s := range seqs {
			longest = max(longest, len(s.text)+len(s.target)-1)
		}
		key.slots = padSteps(m.spec.Prompt+longest, m.base.Config.Positions) - m.spec.Prompt
	}
	g, err := m.graphs.get(key, m.cost(key), func() (*stepGraph, error) { return m.newStepGraph(key) })
	if err != nil {
		return Loss{}, nil, err
	}
	g.load(b, n, seqs)
	g.weigh(o)
	*g.b.seed = seed
	g.b.g.Run()
	loss := g.loss()
	if !(loss.Total-loss.Total == 0) {
		return Loss{}, nil, fmt.Errorf("the loss is %v: nothing was changed; check the inputs or lower the learning rate", loss.Total)
	}
	return loss, g, nil
}

// cost estimates the activations and gradients that a graph holds.
func (m *Model) cost(key graphKey) int {
	inputs, sequences := 0, 0
	for _, mod := range m.spec.Modalities {
		inputs += 8 * mod.Size()
	}
	for _, on := range []bool{key.lm, key.soft} {
		if on {
			sequences++
		}
	}
	return key.rows * (inputs + 24*sequences*(m.spec.Prompt+key.slots)*m.base.Config.Dim*m.base.Config.Layers)
}

// sequence is what follows the soft prompts of a row.
type sequence struct {
	row, at      int // row of the batch, row of the graph's sequences
	text, target []int
	soft         *SoftTarget // nil: target is for the LM loss
}

// sequences appends to all the texts and targets, cut to the base's positions.
func (m *Model) sequences(all []sequence, b Batch, n int, key graphKey) []sequence {
	room := m.base.Config.Positions - m.spec.Prompt
	add := func(s sequence) {
		if b.Text != nil {
			s.text = b.Text[s.row]
		}
		s.target = s.target[:min(len(s.target), room)]
		// The last target token is predicted, not read.
		if over := len(s.text) + max(0, len(s.target)-1) - room; over > 0 {
			s.text = s.text[over:]
		}
		all = append(all, s)
	}
	base := 0
	if key.lm {
		for i := range n {
			add(sequence{row: i, at: base + i, target: b.Target[i]})
		}
		base += key.rows
	}
	if key.soft {
		for i := range n {
			add(sequence{row: i, at: base + i, target: b.Soft[i].IDs, soft: &b.Soft[i]})
		}
	}
	return all
}

func (m *Model) newStepGraph(key graphKey) (*stepGraph, error) {
	b := newBuilder(m.byName, m.base.Tensors, m.base.weights(), true)
	g := &stepGraph{key: key, b: b, fusion: b.fusion(m.spec, key.rows), total: &op.Total{}}
	var losses []*gorgonia.Node
	if key.lm || key.soft {
		hidden, head := g.addDecoder(m), b.head(m.base.Config)
		frozen := b.weights[m.base.Config.arch().names().head]
		if key.lm {
			g.lm = &op.CrossEntropy{}
			g.lm.Frozen = frozen
			g.lmNode = b.apply(g.lm, hidden, head)
			losses = append(losses, g.lmNode)
		}
		if key.soft {
			g.soft = &op.SoftTarget{}
			g.soft.Frozen = frozen
			g.softNode = b.apply(g.soft, hidden, head)
			losses = append(losses, g.softNode)
		}
	}
	if key.contrast != "" {
		g.addContrast(m.spec)
		losses = append(losses, g.contrastNode)
	}
	if err := b.finish(b.apply(g.total, losses...)); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *stepGraph) addDecoder(m *Model) *gorgonia.Node {
	sequences := 0
	for _, on := range []bool{g.key.lm, g.key.soft} {
		if on {
			sequences += g.key.rows
		}
	}
	g.embed = &op.Embed{
		Rows: sequences, Slots: g.key.slots, Prompt: m.spec.Prompt,
		IDs: make([]int32, sequences*g.key.slots), From: make([]int32, sequences),
	}
	for i := range g.embed.From {
		g.embed.From[i] = int32(i % g.key.rows)
	}
	g.embed.Sequences = &op.Sequences{Lengths: make([]int, sequences)}
	// A target has at most as many tokens as there are slots, and one that the last soft prompt predicts.
	hidden, last := g.b.decode(m.base.Config, m.spec.lora(), g.embed, g.fusion.prompts(), sequences*(g.key.slots+1))
	g.last = last
	return hidden
}

func (g *stepGraph) addContrast(s Spec) {
	var anchor *gorgonia.Node
	anchor, g.anchor = g.b.input("anchor", g.key.rows, g.key.anchor)
	switch g.key.contrast {
	case ContrastGram:
		g.gram = &op.Gram{}
		g.contrastNode = g.b.apply(g.gram, append([]*gorgonia.Node{anchor}, g.fusion.contributions()...)...)
		return
	case ContrastCosine:
		g.gram = &op.Gram{Cosine: true}
		g.contrastNode = g.b.apply(g.gram, anchor, g.fusion.representation())
		return
	}
	g.similar = &op.Similarity{Rows: make([][]int32, 1+len(s.Modalities))}
	vectors := append([]*gorgonia.Node{anchor, g.fusion.representation()}, g.fusion.projections...)
	g.contrastNode = g.b.apply(g.similar, vectors...)
}

// load copies a batch of n rows into the graph. Rows beyond n have no target and count in no loss.
func (g *stepGraph) load(b Batch, n int, seqs []sequence) {
	g.fusion.load(b.Inputs, 0, n)
	if g.anchor != nil {
		clear(g.anchor[n*g.key.anchor:])
		for i, a := range b.Anchor {
			copy(g.anchor[i*g.key.anchor:], a)
		}
	}
	if g.gram != nil {
		g.gram.Rows, g.gram.Labels = n, b.Labels
	}
	if g.similar != nil {
		for k := range g.similar.Rows {
			rows := g.similar.Rows[k][:0]
			for i := range n {
				if k == 0 || present(b.Inputs[g.fusion.spec.Modalities[k-1].Name], i) {
					rows = append(rows, int32(i))
				}
			}
			g.similar.Rows[k] = rows
		}
	}
	if g.embed != nil {
		g.loadSequences(seqs)
	}
}

func present(rows [][]float32, i int) bool { return rows != nil && rows[i] != nil }

// loadSequences lays the sequences, which are in the order of the graph's, one after another.
func (g *stepGraph) loadSequences(seqs []sequence) {
	lengths := g.embed.Sequences.Lengths
	clear(lengths)
	g.last.Keep = g.last.Keep[:0]
	if g.lm != nil {
		g.lm.At, g.lm.Target = g.lm.At[:0], g.lm.Target[:0]
	}
	if g.soft != nil {
		g.soft.At, g.soft.TopIDs, g.soft.TopLog = g.soft.At[:0], g.soft.TopIDs[:0], g.soft.TopLog[:0]
	}
	begin := 0
	for _, s := range seqs {
		ids := g.embed.IDs[s.at*g.embed.Slots:][:g.embed.Slots]
		used := 0
		for _, id := range s.text {
			ids[used] = int32(id)
			used++
		}
		for j, id := range s.target {
			// The position before a token predicts it.
			at := int32(len(g.last.Keep))
			g.last.Keep = append(g.last.Keep, int32(begin+g.embed.Prompt+used-1))
			if s.soft == nil {
				g.lm.At, g.lm.Target = append(g.lm.At, at), append(g.lm.Target, int32(id))
			} else {
				g.soft.At = append(g.soft.At, at)
				g.soft.TopIDs = append(g.soft.TopIDs, s.soft.TopIDs[j])
				g.soft.TopLog = append(g.soft.TopLog, s.soft.TopLog[j])
			}
			if j+1 < len(s.target) {
				ids[used] = int32(id)
				used++
			}
		}
		lengths[s.at] = g.embed.Prompt + used
		begin += lengths[s.at]
	}
}

// weigh sets the weights of the losses in the order of newStepGraph.
func (g *stepGraph) weigh(o Objective) {
	w := g.total.Weights[:0]
	if g.lm != nil {
		w = append(w, o.LM)
	}
	if g.soft != nil {
		w = append(w, o.Soft)
	}
	if g.key.contrast != "" {
		w = append(w, o.Contrast)
	}
	g.total.Weights = w
	if g.gram != nil {
		g.gram.Tau = o.Tau
		if g.gram.Tau == 0 {
			g.gram.Tau = 0.07
		}
	}
}

// loss reads the losses of the last run.
func (g *stepGraph) loss() Loss {
	read := func(n *gorgonia.Node) float64 {
		if n == nil {
			return 0
		}
		return float64(op.Floats(n)[0])
	}
	l := Loss{LM: read(g.lmNode), Soft: read(g.softNode), Contrast: read(g.contrastNode)}
	w := g.total.Weights
	for _, part := range []struct {
		on    bool
		value float64
	}{{g.lm != nil, l.LM}, {g.soft != nil, l.Soft}, {g.key.contrast != "", l.Contrast}} {
		if part.on {
			l.Total += w[0] * part.value
			w = w[1:]
		}
	}
	return l
}
