package testnet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// gossipPatience is how long the last records may take to reach every node.
const gossipPatience = 20 * time.Second

// settle waits until every running node knows every delta that a round names: gossip promises no delivery, sync repairs it in a moment.
func (t *Testnet) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gossipPatience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		missing, err := t.missing(ctx)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%s after %s", missing, gossipPatience)
			}
			return fmt.Errorf("wait until every node knows every delta: %w", err)
		}
	}
}

// missing names a delta that a running node does not know, "" if there is none.
func (t *Testnet) missing(ctx context.Context) (string, error) {
	wanted := map[string]bool{}
	known := map[string]map[string]bool{}
	for _, n := range t.nodes {
		client, err := n.API()
		if err != nil {
			continue // it has ended
		}
		rounds, err := client.Rounds(ctx, api.Window{})
		if err != nil {
			client.Close()
			return "", err
		}
		deltas, err := client.Deltas(ctx, api.Window{})
		client.Close()
		if err != nil {
			return "", err
		}
		known[n.Name()] = map[string]bool{}
		for _, d := range deltas {
			known[n.Name()][d.CID] = true
		}
		for _, r := range rounds {
			for _, in := range r.Inputs {
				wanted[in.Delta] = true
			}
		}
	}
	for _, name := range sortedKeys(known) {
		for _, delta := range sortedKeys(wanted) {
			if !known[name][delta] {
				return fmt.Sprintf("%s lacks delta %s", name, delta), nil
			}
		}
	}
	return "", nil
}

// collect asks every node how it did. Nodes that have ended are read from their homes.
func (t *Testnet) collect(ctx context.Context) (*Report, []Curve, error) {
	fingerprint, err := Fingerprint(t.set)
	if err != nil {
		return nil, nil, err
	}
	r := &Report{
		Version: node.Version, Seed: t.opt.Seed, WallSeconds: time.Since(t.started).Seconds(), Nodes: []NodeReport{}, Rounds: []RoundReport{},
		Dataset: Dataset{Path: t.set.Dir, Generated: t.set.Generated, CID: fingerprint, Rows: len(t.set.Rows), Modalities: t.set.Modalities()},
	}
	var supers, edges []Curve
	var best []api.Round
	deltas := map[string]api.Delta{}
	for i, m := range t.folder.Members {
		found, err := ask(ctx, m)
		if err != nil {
			return nil, nil, fmt.Errorf("ask %s how it did: %w", m.Name, err)
		}
		n, c := found.report(), found.curve()
		if last := t.watcher.views[i].st; n.PID == 0 && last != nil { // it has ended: what it said last
			n.PID, n.BytesSent, n.BytesReceived = last.PID, last.BytesSent, last.BytesReceived
		}
		r.Nodes = append(r.Nodes, n)
		if n.Role == roleSuper {
			supers = append(supers, c)
		} else {
			edges = append(edges, c)
		}
		if len(found.rounds) > len(best) {
			best = found.rounds
		}
		for _, d := range found.deltas {
			deltas[d.CID] = d
		}
	}
	for _, round := range best {
		if round.Round > 0 {
			r.Rounds = append(r.Rounds, roundReport(round))
		}
	}
	r.Communication = communication(r.Nodes, best, deltas)
	return r, append(append(edges, meanCurve(edges)), supers...), nil
}

// findings is what one node says at the end.
type findings struct {
	st     *api.Status
	scores *api.Scores
	rounds []api.Round
	deltas []api.Delta
}

func ask(ctx context.Context, m Member) (f findings, err error) {
	h, err := m.openHome()
	if err != nil {
		return f, err
	}
	src, closeSource, err := h.Source()
	if err != nil {
		return f, err
	}
	defer closeSource()
	if f.st, err = src.Status(ctx); err != nil {
		return f, err
	}
	if f.scores, err = src.Scores(ctx); err != nil {
		return f, err
	}
	if f.rounds, err = src.Rounds(ctx, api.Window{}); err != nil {
		return f, err
	}
	f.deltas, err = src.Deltas(ctx, api.Window{})
	return f, err
}

func (f findings) report() NodeReport {
	n := NodeReport{
		Name: f.st.Name, Role: f.st.Role, Family: f.st.Family, PeerID: f.st.PeerID, PID: f.st.PID, Modalities: f.st.Modalities, Domain: f.st.Domain, Base: f.st.BaseCID,
		ParamsTotal: f.st.ParamsTotal, ParamsTrainable: f.st.ParamsTrainable, TestRows: f.st.TestRows,
		BytesSent: f.st.BytesSent, BytesReceived: f.st.BytesReceived,
	}
	set := func(s api.Score, rouge, exact **float64) { *rouge, *exact = &s.RougeLsum, &s.ExactMatch }
	if c := f.scores.Constant; c != nil {
		set(*c, &n.RougeLsum.Constant, &n.ExactMatch.Constant)
	}
	if k := len(f.scores.Standalone); k > 0 {
		set(f.scores.Standalone[k-1].Score, &n.RougeLsum.Standalone, &n.ExactMatch.Standalone)
	}
	if k := len(f.scores.Together); k > 0 {
		set(f.scores.Together[k-1].Score, &n.RougeLsum.Together, &n.ExactMatch.Together)
	}
	return n
}

func (f findings) curve() Curve {
	c := Curve{Node: f.st.Name, Note: f.st.Domain + "\n" + strings.Join(f.st.Modalities, ", "), Alone: f.scores.Standalone, Together: f.scores.Together}
	if f.scores.Constant != nil {
		c.Constant = &f.scores.Constant.RougeLsum
	}
	return c
}

func roundReport(r api.Round) RoundReport {
	out := RoundReport{Round: r.Round, Leader: r.Leader, Aggregate: r.Aggregate, Seconds: r.Seconds, Inputs: make([]InputReport, len(r.Inputs))}
	for i, in := range r.Inputs {
		out.Inputs[i] = InputReport{Delta: in.Delta, Author: in.Author, Modalities: in.Modalities, Weight: in.Weight, Late: r.Round - in.Round}
	}
	return out
}
