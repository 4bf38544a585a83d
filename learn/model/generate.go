package model

import (
	"errors"
	"fmt"
	"math"
)

// Generate decodes greedily at most limit tokens a row, fewer where the base's positions end; ids without the end-of-text
// token. Of equally likely tokens the lowest id wins.
func (m *Model) Generate(b Batch, limit int) ([][]int, error) {
	answers, err := m.Answer(b, limit, 0)
	if err != nil {
		return nil, err
	}
	all := make([][]int, len(answers))
	for i, a := range answers {
		all[i] = a.IDs
		if n := len(a.IDs); n > 0 && a.IDs[n-1] == m.end {
			all[i] = a.IDs[:n-1]
		}
	}
	return all, nil
}

// Answer decodes greedily at most limit tokens a row, the end-of-text token included, and gives the top-k log-probabilities
// along the decoded sequence: the model as a teacher. k = 0 gives the sequence alone.
func (m *Model) Answer(b Batch, limit, k int) ([]SoftTarget, error) {
	return Ensemble([]*Model{m}, b, limit, k)
}

// Ensemble is Answer by several models: the next token's probabilities are the means of theirs. They take the same batch, so they have the
// same modalities, and their bases one vocabulary.
func Ensemble(models []*Model, b Batch, limit, k int) ([]SoftTarget, error) {
	if len(models) == 0 {
		return nil, errors.New("generate: no model")
	}
	n, err := models[0].rows(b)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	vocab, end := models[0].base.Config.Vocab, models[0].end
	if limit < 1 || k < 0 || k > vocab {
		return nil, fmt.Errorf("generate: %d tokens with the top %d of %d: want at least 1 token, and k within the vocabulary", limit, k, vocab)
	}
	for _, m := range models[1:] {
		if m.base.Config.Vocab != vocab || m.end != end {
			return nil, fmt.Errorf("generate: bases of %d and %d tokens; models that answer together need one tokenizer", vocab, m.base.Config.Vocab)
		}
	}
	all := make([]SoftTarget, 0, n)
	for from := 0; from < n; from += inferRows {
		to := min(from+inferRows, n)
		speakers := make(ensemble, len(models))
		for i, m := range models {
			if speakers[i], err = m.begin(b, from, to, limit); err != nil {
				return nil, err
			}
		}
		all = append(all, speakers.greedy(limit, k, end)...)
	}
	return all, nil
}

// begin reads the prompts and texts of rows from to to, for decoding at most limit tokens more.
func (m *Model) begin(b Batch, from, to, limit int) (*decoding, error) {
	_, prompts, err := m.fuse(b, from, to)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	texts := make([][]int, to-from)
	if b.Text != nil {
		copy(texts, b.Text[from:to])
	}
	d := m.decoding(to-from, m.base.Config.positionsFor(m.spec.Prompt, texts, limit))
	d.read(prompts, texts)
	return d, nil
}

// ensemble is decodings of the same rows by models of one vocabulary.
type ensemble []*decoding

// greedy continues every row by its most likely token until limit, the end token or the last position that all have.
func (e ensemble) greedy(limit, k, end int) []SoftTarget {
	answers := make([]SoftTarget, len(e[0].length))
	active := make([]int, len(answers))
	for i := range active {
		active[i] = i
	}
	vocab := e[0].config.Vocab
	mean, scratch := make([]float32, vocab), make([]float32, vocab)
	for step := 0; len(active) > 0; step++ {
		var rows, ids []int
		for i, row := range active {
			logits := e.logits(i, mean)
			a := &answers[row]
			id := argmax(logits)
			a.IDs = append(a.IDs, id)
			if k > 0 {
				top, logs := topK(logits, k, scratch)
				a.TopIDs, a.TopLog = append(a.TopIDs, top), append(a.TopLog, logs)
			}
			if id != end && step+1 < limit && e.room(row) {
				rows, ids = append(rows, row), append(ids, id)
			}
		}
		if len(rows) > 0 {
			for _, d := range e {
				d.append(rows, ids)
			}
		}
		active = rows
	}
	return answers
}

// room tells whether every model has a position left for row.
func (e ensemble) room(row int) bool {
	for _, d := range e {
		if d.length[row] >= d.config.Positions {
			return false
		}
	}
	return true
}

// logits are those of the i-th active row's next token: of several models the logarithms of their mean probabilities, computed in mean.
func (e ensemble) logits(i int, mean []float32) []float32 {
	vocab := len(mean)
	if len(e) == 1 {
		return e[0].logits[i*vocab:][:vocab]
	}
	clear(mean)
	for _, d := range e {
		logits := d.logits[i*vocab:][:vocab]
		top := logits[argmax(logits)]
		var total float64
		for _, x := range logits {
			total += math.Exp(float64(x - top))
		}
		for t, x := range logits {
			mean[t] += float32(math.Exp(float64(x-top)) / total)
		}
	}
	for t, p := range mean {
		mean[t] = float32(math.Log(max(float64(p)/float64(len(e)), math.SmallestNonzeroFloat32)))
	}
	return mean
}
