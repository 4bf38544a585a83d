package method

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/model"
)

// creamTau is the temperature of CreamFL's contrast, that of its authors' code.
const creamTau = 0.5

// creamfl is CreamFL (arXiv 2302.08888): the server sends its representations of the public rows, the edges contrast theirs with them,
// and send them back; the server weighs every edge's representation of every row by how well it tells the row from others in the server's
// own space (global-local contrastive aggregation), and learns the weighted mean beside its task.
//
// Simplified: one fused representation stands for those of the single modalities. That of the server holds all modalities, so that one
// contrast (InfoNCE within the batch, both ways) is the paper's with what an edge lacks (inter-modal) and with what it has (intra-modal);
// the latter's negative, what the edge itself said a round ago, is left out. The server learns the mean by the same contrast and not by
// the squared distance. All models have the fused width of the first family, as representations of one space need.
func creamfl(w World) (Federation, error) {
	return newSpeaking(w, language{
		name: "representations",
		config: func(w World, cfg Config) Config {
			cfg.Contrast, cfg.Tau = model.ContrastCosine, creamTau
			cfg.Spec.Fused = w.Config.Spec.Fused
			return cfg
		},
		say: represent,
		pool: func(edges []*Supervision, _ []float64, server *Supervision, _ float64) *Supervision {
			return contrasted(edges, server)
		},
		goal: func(cfg Config, o *model.Objective, edge bool) {
			o.Contrast = cfg.KD
			if edge {
				o.Contrast = cfg.Lambda
			}
		},
	})
}

// represent gives the fused representations of rows, scaled to unit length, and no answers.
func represent(ctx context.Context, l *learner, rows []row) (*Supervision, error) {
	s := &Supervision{Soft: make([]model.SoftTarget, len(rows))}
	err := l.eachChunk(ctx, rows, func(chunk []row, fresh int) error {
		fused, err := l.model.Fuse(inputs(l.modalities, chunk))
		if err != nil {
			return err
		}
		for i, r := range chunk[:fresh] {
			s.IDs = append(s.IDs, r.id)
			s.Fused = append(s.Fused, unit(fused[i]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("representing: %w", err)
	}
	return s, nil
}

// unit is x scaled to unit length.
func unit(x []float32) []float32 {
	out := make([]float32, len(x))
	if norm := math.Sqrt(product(x, x)); norm > 0 {
		for i, v := range x {
			out[i] = float32(float64(v) / norm)
		}
	}
	return out
}

func product(a, b []float32) float64 {
	var sum float64
	for i, x := range a {
		sum += float64(float64(x) * float64(b[i]))
	}
	return sum
}

// contrasted is the mean of what the edges say of each row, weighted by a softmax over the edges of the log-probability that the row's own
// representation at the server has among those of all rows.
func contrasted(edges []*Supervision, server *Supervision) *Supervision {
	rows := len(server.IDs)
	out := &Supervision{IDs: server.IDs, Soft: make([]model.SoftTarget, rows)}
	for i := range rows {
		var seen [][]float32 // what the edges say that have seen the row
		for _, said := range edges {
			if at := slices.Index(said.IDs, server.IDs[i]); at >= 0 {
				seen = append(seen, said.Fused[at])
			}
		}
		if len(seen) == 0 {
			seen = append(seen, server.Fused[i])
		}
		weights := make([]float64, len(seen))
		var total float64
		for e, own := range seen {
			var others float64
			for j := range rows {
				others += math.Exp(product(own, server.Fused[j]))
			}
			weights[e] = math.Exp(product(own, server.Fused[i])) / others // the exponential of the log-probability
			total += weights[e]
		}
		mean := make([]float64, len(server.Fused[i]))
		for e, own := range seen {
			for j, x := range own {
				mean[j] += float64(weights[e] / total * float64(x))
			}
		}
		fused := make([]float32, len(mean))
		for j, x := range mean {
			fused[j] = float32(x)
		}
		out.Fused = append(out.Fused, fused)
	}
	return out
}
