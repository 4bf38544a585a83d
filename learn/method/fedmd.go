package method

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/model"
)

// fedmd is FedMD (arXiv 1910.03581): the nodes send their answers to the public rows, soft, and all of them, the server too, digest the
// consensus, with weight KD, before they go back to rows of their own. The server takes part with its own answers. Weights are rows, as
// in the other methods; the paper's are equal.
//
// An answer here is a sequence of tokens, and what nodes expect of a token depends on those before it: see consensus.
func fedmd(w World) (Federation, error) {
	k := w.Config.SoftK
	return newSpeaking(w, language{
		name: "logits", echo: true,
		say: say,
		pool: func(edges []*Supervision, weights []float64, server *Supervision, own float64) *Supervision {
			out := &Supervision{IDs: server.IDs, Fused: make([][]float32, len(server.IDs))}
			for i := range server.IDs {
				var answers []model.SoftTarget
				var shares []float64
				for e, said := range edges {
					if at := slices.Index(said.IDs, server.IDs[i]); at >= 0 { // it has seen the row
						answers, shares = append(answers, said.Soft[at]), append(shares, weights[e])
					}
				}
				out.Soft = append(out.Soft, consensus(append(answers, server.Soft[i]), append(shares, own), k))
			}
			return out
		},
		goal: func(cfg Config, o *model.Objective, _ bool) { o.Soft = cfg.KD },
	})
}

// say gives answers to rows, and no representations.
func say(ctx context.Context, l *learner, rows []row) (*Supervision, error) {
	s := &Supervision{Fused: make([][]float32, len(rows))}
	err := l.eachChunk(ctx, rows, func(chunk []row, fresh int) error {
		soft, err := l.model.Answer(inputs(l.modalities, chunk), l.cfg.MaxTokens, l.cfg.SoftK)
		if err != nil {
			return err
		}
		for i, r := range chunk[:fresh] {
			s.IDs = append(s.IDs, r.id)
			s.Soft = append(s.Soft, soft[i])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("answering: %w", err)
	}
	return s, nil
}

// consensus makes one answer of several, token by token: the expectations of all that agree with the answer so far are averaged by their
// weights, of the tokens that they chose the one with the highest mean comes next, and those that chose another one drop out. What is not
// among a node's top k has probability 0 there. Of equal tokens the lowest id is taken.
func consensus(answers []model.SoftTarget, weights []float64, k int) model.SoftTarget {
	var out model.SoftTarget
	agree := make([]int, len(answers))
	for i := range agree {
		agree[i] = i
	}
	for at := 0; ; at++ {
		// Those whose answers end here say nothing more.
		agree = slices.DeleteFunc(agree, func(i int) bool { return at >= len(answers[i].IDs) || weights[i] <= 0 })
		if len(agree) == 0 {
			return out
		}
		ids, mean := expectations(answers, weights, agree, at)
		next := -1
		for _, id := range ids {
			chosen := slices.ContainsFunc(agree, func(i int) bool { return answers[i].IDs[at] == id })
			if chosen && (next < 0 || mean[id] > mean[next]) {
				next = id
			}
		}
		slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(mean[b], mean[a]) })
		ids = ids[:min(k, len(ids))]
		logs := make([]float32, len(ids))
		for j, id := range ids {
			logs[j] = float32(math.Log(max(mean[id], leastProbability)))
		}
		out.IDs, out.TopIDs, out.TopLog = append(out.IDs, next), append(out.TopIDs, ids), append(out.TopLog, logs)
		agree = slices.DeleteFunc(agree, func(i int) bool { return answers[i].IDs[at] != next })
	}
}

// leastProbability keeps logarithms finite.
const leastProbability = 1e-30

// expectations are the mean of what some answers expect at one token: ids in order, and their probabilities.
func expectations(answers []model.SoftTarget, weights []float64, among []int, at int) ([]int, map[int]float64) {
	var total float64
	for _, i := range among {
		total += weights[i]
	}
	mean := map[int]float64{}
	var ids []int
	for _, i := range among {
		for j, id := range answers[i].TopIDs[at] {
			if _, seen := mean[id]; !seen {
				ids = append(ids, id)
			}
			mean[id] += float64(weights[i] / total * math.Exp(float64(answers[i].TopLog[at][j])))
		}
	}
	slices.Sort(ids)
	return ids, mean
}
