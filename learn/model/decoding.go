package model

import (
	"slices"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/op"
)

// decoding runs the backbone on some rows outside a graph, with a key-value cache: the ops are those of the training graph,
// without dropout.
type decoding struct {
	config         Config
	rows, capacity int // the caches' rows, and positions of each
	embed          op.Embed
	tables         [][]float32 // of tokens, and of positions if there is such a table; embed has the frozen ones
	head           *kernel.Frozen
	norm           op.Norm
	last           [][]float32 // x and the parameters of norm
	blocks         []*op.Block
	// per block
	weights [][][]float32 // in the order of op.Block's inputs
	caches  []*op.Cache

	length []int     // positions of each row so far
	logits []float32 // of the next token of each row of the last read or append
	x      []float32 // hidden states of the last append
	start  []int
}

// newDecoding makes room for rows of at most capacity positions, of which the first prompt are soft. trained tensors take precedence over
// the base's.
func newDecoding(base *Base, l lora, trained map[string]*parameter, prompt, rows, capacity int) *decoding {
	data := func(name string) []float32 {
		if p, ok := trained[name]; ok {
			return p.Data
		}
		return base.Tensors[name].Data
	}
	c, weights := base.Config, base.weights()
	from := newDecoder(c, l, weights, capacity, func(float64) op.Noise { return op.Noise{} })
	n := from.arch.names()
	d := &decoding{
		config: c, rows: rows, capacity: capacity, head: weights[n.head], norm: from.arch.newNorm(), last: make([][]float32, 1),
		embed:  op.Embed{Prompt: prompt, Rotary: n.positions == "", Tokens: weights[n.tokens], Positions: weights[n.positions]},
		tables: make([][]float32, 1, 2),
	}
	if !d.embed.Rotary {
		d.tables = d.tables[:2]
	}
	for _, t := range n.norm.tensors("") {
		d.last = append(d.last, data(t.name))
	}
	for i := range c.Layers {
		block, tensors := from.block(i)
		weights := make([][]float32, len(tensors))
		for j, name := range tensors {
			weights[j] = data(name)
		}
		d.blocks, d.weights = append(d.blocks, block), append(d.weights, weights)
		d.caches = append(d.caches, block.NewCache(rows, capacity))
	}
	return d
}

// positionsFor is how many a decoding of texts and limit tokens more needs.
func (c Config) positionsFor(prompt int, texts [][]int, limit int) int {
	longest := 0
	for _, text := range texts {
		longest = max(longest, len(text))
	}
	return min(prompt+longest+limit, c.Positions)
}

// keptCache is how many float32 of keys and values a model keeps from one call to the next.
const keptCache = 1 << 24

// decoding gives a decoding with room for the rows: the last one, if it has.
func (m *Model) decoding(rows, capacity int) *decoding {
	d := m.decoder
	if d == nil || d.rows < rows || d.capacity < capacity {
		if d != nil {
			rows, capacity = max(rows, d.rows), max(capacity, d.capacity)
		}
		m.decoder = nil // its memory may serve the next one
		d = newDecoding(m.base, m.spec.lora(), m.byName, m.spec.Prompt, rows, capacity)
		if c := m.base.Config; rows*capacity*c.Layers*c.Dim <= keptCache/2 {
			m.decoder = d
		}
	}
	return d
}

// read takes the soft prompts [rows, prompt*dim] and the texts, cut at the front to fit the base's positions, and computes the
// logits after each row's last position. A row needs a soft prompt or a token.
func (d *decoding) read(prompts []float32, texts [][]int) {
	rows, prompt := len(texts), d.embed.Prompt
	embed := d.embed
	embed.Rows, embed.From = rows, make([]int32, rows)
	texts = slices.Clone(texts)
	d.length = make([]int, rows)
	all, start := make([]int, rows), make([]int, rows)
	for i, text := range texts {
		texts[i] = text[max(0, prompt+len(text)-d.config.Positions):]
		embed.Slots = max(embed.Slots, len(texts[i]))
		embed.From[i] = int32(i)
		d.length[i] = prompt + len(texts[i])
		all[i] = i
	}
	embed.IDs = make([]int32, rows*embed.Slots)
	for i := range embed.IDs {
		embed.IDs[i] = -1
	}
	for i, text := range texts {
		for j, id := range text {
			embed.IDs[i*embed.Slots+j] = int32(id)
		}
	}
	steps, dim := prompt+embed.Slots, d.config.Dim
	x := make([]float32, rows*steps*dim)
	embed.Forward(x, append(slices.Clone(d.tables), prompts))
	d.extend(x, steps, all, start)
	last := make([]float32, rows*dim)
	for i, n := range d.length {
		copy(last[i*dim:][:dim], x[(i*steps+n-1)*dim:])
	}
	d.next(last)
}

// append adds one token to each of the rows and computes the logits after them, in the order of rows.
func (d *decoding) append(rows, ids []int) {
	dim := d.config.Dim
	if cap(d.x) < len(rows)*dim {
		d.x, d.start = make([]float32, len(rows)*dim), make([]int, len(rows))
	}
	x, start := d.x[:len(rows)*dim], d.start[:len(rows)]
	one := d.embed
	one.Rows, one.Slots, one.Prompt, one.IDs = 1, 1, 0, make([]int32, 1)
	for i, row := range rows {
		start[i] = d.length[row]
		one.IDs[0], one.Offset = int32(ids[i]), start[i]
		one.Forward(x[i*dim:][:dim], d.tables)
		d.length[row]++
	}
	d.extend(x, 1, rows, start)
	d.next(x)
}

// extend runs the blocks on n further positions of some rows.
func (d *decoding) extend(x []float32, n int, rows, start []int) {
	for i, b := range d.blocks {
		b.Extend(x, n, d.weights[i], d.caches[i], rows, start)
	}
}

// next computes the logits of hidden states [n, dim].
func (d *decoding) next(x []float32) {
	vocab := d.config.Vocab
	n := len(x) / d.config.Dim
	d.last[0] = x
	d.norm.Forward(x, d.last)
	if cap(d.logits) < n*vocab {
		d.logits = make([]float32, n*vocab)
	}
	d.logits = d.logits[:n*vocab]
	op.Logits(d.logits, x, d.head)
}

// argmax is the index of the largest value, the lowest among equals.
func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// topK gives the k most likely ids, most likely first and the lowest id among equals, with their log-probabilities. scratch has the
// length of logits.
func topK(logits []float32, k int, scratch []float32) ([]int, []float32) {
	total := kernel.LogSumExp(logits, scratch)
	ids := make([]int, 0, k+1)
	for id, v := range logits {
		at := len(ids)
		for at > 0 && v > logits[ids[at-1]] {
			at--
		}
		if at < k {
			ids = slices.Insert(ids, at, id)
			ids = ids[:min(len(ids), k)]
		}
	}
	logs := make([]float32, len(ids))
	for i, id := range ids {
		logs[i] = logits[id] - total
	}
	return ids, logs
}
