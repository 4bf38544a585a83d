package model

import (
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/op"
)

// decoding runs the backbone on some rows outside a graph, with a key-value cache: the ops are those of the training graph,
// without dropout.
type decoding struct {
	config     Config
	prompt     int
	wte, wpe   []float32
	head       *op.Packed // of wte
	gain, bias []float32  // of the last layer norm
	norm       op.LayerNorm
	blocks     []*op.Block
	weights    [][][]float32 // per block, in the order of op.Block's inputs
	caches     []*op.Cache

	length []int     // positions of each row so far
	logits []float32 // of the next token of each row of the last read or append
}

// newDecoding makes room for the texts after prompt soft prompts each, and limit tokens more. trained tensors take
// precedence over the base's.
func newDecoding(base *Base, l lora, trained map[string]*parameter, packed packs, prompt int, texts [][]int, limit int) *decoding {
	data := func(name string) []float32 {
		if p, ok := trained[name]; ok {
			return p.Data
		}
		return base.Tensors[name].Data
	}
	c := base.Config
	d := &decoding{
		config: c, prompt: prompt,
		wte: data(wteName), wpe: data(wpeName), head: packed[wteName],
		gain: data(lnfName + ".weight"), bias: data(lnfName + ".bias"),
		norm: op.LayerNorm{Eps: c.Eps},
	}
	longest := 0
	for _, text := range texts {
		longest = max(longest, len(text))
	}
	capacity := min(prompt+longest+limit, c.Positions)
	for i := range c.Layers {
		block, names := newBlock(c, l, packed, i, capacity, nil, func(float64) op.Noise { return op.Noise{} })
		weights := make([][]float32, len(names))
		for j, name := range names {
			weights[j] = data(name)
		}
		d.blocks, d.weights = append(d.blocks, block), append(d.weights, weights)
		d.caches = append(d.caches, op.NewCache(len(texts), capacity, c.Dim))
	}
	return d
}

// read takes the soft prompts [rows, prompt*dim] and the texts, cut at the front to fit the base's positions, and computes the
// logits after each row's last position. A row needs a soft prompt or a token.
func (d *decoding) read(prompts []float32, texts [][]int) {
	rows := len(texts)
	embed := &op.Embed{Rows: rows, Prompt: d.prompt, From: make([]int32, rows)}
	texts = slices.Clone(texts)
	d.length = make([]int, rows)
	all, start := make([]int, rows), make([]int, rows)
	for i, text := range texts {
		texts[i] = text[max(0, d.prompt+len(text)-d.config.Positions):]
		embed.Slots = max(embed.Slots, len(texts[i]))
		embed.From[i] = int32(i)
		d.length[i] = d.prompt + len(texts[i])
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
	steps, dim := d.prompt+embed.Slots, d.config.Dim
	x := make([]float32, rows*steps*dim)
	embed.Forward(x, [][]float32{d.wte, d.wpe, prompts})
	for i, b := range d.blocks {
		b.Extend(x, steps, d.weights[i], d.caches[i], all, start)
	}
	last := make([]float32, rows*dim)
	for i, n := range d.length {
		copy(last[i*dim:][:dim], x[(i*steps+n-1)*dim:])
	}
	d.next(last)
}

// append adds one token to each of the rows and computes the logits after them, in the order of rows.
func (d *decoding) append(rows, ids []int) {
	dim := d.config.Dim
	x, start := make([]float32, len(rows)*dim), make([]int, len(rows))
	for i, row := range rows {
		start[i] = d.length[row]
		token, position := d.wte[ids[i]*dim:][:dim], d.wpe[start[i]*dim:][:dim]
		for j := range dim {
			x[i*dim+j] = token[j] + position[j]
		}
		d.length[row]++
	}
	for i, b := range d.blocks {
		b.Extend(x, 1, d.weights[i], d.caches[i], rows, start)
	}
	d.next(x)
}

// next computes the logits of hidden states [n, dim].
func (d *decoding) next(x []float32) {
	dim, vocab := d.config.Dim, d.config.Vocab
	n := len(x) / dim
	d.norm.Forward(x, [][]float32{x, d.gain, d.bias})
	if cap(d.logits) < n*vocab {
		d.logits = make([]float32, n*vocab)
	}
	d.logits = d.logits[:n*vocab]
	op.Logits(d.logits, x, d.wte, d.head, dim)
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

// topK gives the k most likely ids, most likely first and the lowest id among equals, with their log-probabilities.
func topK(logits []float32, k int) ([]int, []float32) {
	peak := float64(logits[argmax(logits)])
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - peak)
	}
	total := peak + math.Log(sum)
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
		logs[i] = float32(float64(logits[id]) - total)
	}
	return ids, logs
}
