package model

import (
	"fmt"
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
	n, err := m.rows(b)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	if limit < 1 || k < 0 || k > m.base.Config.Vocab {
		return nil, fmt.Errorf("generate: %d tokens with the top %d of %d: want at least 1 token, and k within the vocabulary", limit, k, m.base.Config.Vocab)
	}
	all := make([]SoftTarget, 0, n)
	for from := 0; from < n; from += inferRows {
		to := min(from+inferRows, n)
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
		all = append(all, d.greedy(limit, k, m.end)...)
	}
	return all, nil
}

// greedy continues every row by its most likely token until limit, the end token or the last position.
func (d *decoding) greedy(limit, k, end int) []SoftTarget {
	answers := make([]SoftTarget, len(d.length))
	active := make([]int, len(d.length))
	for i := range active {
		active[i] = i
	}
	scratch := make([]float32, d.config.Vocab)
	for step := 0; len(active) > 0; step++ {
		var rows, ids []int
		for i, row := range active {
			logits := d.logits[i*d.config.Vocab:][:d.config.Vocab]
			a := &answers[row]
			id := argmax(logits)
			a.IDs = append(a.IDs, id)
			if k > 0 {
				top, logs := topK(logits, k, scratch)
				a.TopIDs, a.TopLog = append(a.TopIDs, top), append(a.TopLog, logs)
			}
			if id != end && step+1 < limit && d.length[row] < d.config.Positions {
				rows, ids = append(rows, row), append(ids, id)
			}
		}
		if len(rows) > 0 {
			d.append(rows, ids)
		}
		active = rows
	}
	return answers
}
