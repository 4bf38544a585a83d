package method

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/model"
)

// World is everything that one federation learns from, in memory: what a method is given. Methods that are given one World start from
// the same weights, see the same rows in the same batches where their stages are alike, and take the same number of optimiser steps.
type World struct {
	Config     Config
	Large      *model.Base      // of the server
	Small      []*model.Base    // of the edges, one a family
	Modalities []model.Modality // all there are
	Public     []Example        // the server's rows: all modalities, with targets
	Nodes      []Node
	Share      []string // kinds of components that mlecs averages; other methods say themselves what they average
	Stream     string   // names the server for seeding; empty: "super-1", as in testnets
}

// Node is one edge of a World.
type Node struct {
	Stream     string // names the node for seeding
	Family     int    // index into World.Small
	Modalities []model.Modality
	Private    []Example // with targets
}

// Federation is one method at work on a World. It is not safe for concurrent use.
type Federation interface {
	// Round runs one round. They come in order, from 0, in which the server learns alone, and after an error there is no next one.
	Round(ctx context.Context, round uint64, p Progress) (Traffic, error)
	// Finish is what edges do after the last round before they are used: as many steps as in Edge.Adapt, whatever the method.
	Finish(ctx context.Context, last uint64, p Progress) error
	// Edge is the model of node i, Server the large model, with the small ones at the server beside it where a method has any.
	Edge(i int) Evaluator
	Server() Evaluator
}

// Evaluator is a model that can be scored.
type Evaluator interface {
	// Evaluate scores greedy answers on test rows, which have targets. Modalities that the model does not have are not looked at.
	Evaluate(ctx context.Context, test []Example) (Scores, error)
	// Params counts all parameters, the frozen base included, and the trainable ones.
	Params() (total, trainable int64)
}

// starter builds one method over a world that has been checked.
type starter struct {
	name  string
	start func(World) (Federation, error)
}

// methods are all methods, in the order of the tables: those that exchange nothing, those that exchange adapters, those that exchange
// representations or answers, those that no federation of different structures can run, and ours with its ablations.
func methods() []starter {
	return slices.Concat(aloneMethods(), averagingMethods(), speakingMethods(), ceilingMethods(), togetherMethods())
}

// Methods lists the names that Start takes, in the order of the tables.
func Methods() []string {
	var names []string
	for _, m := range methods() {
		names = append(names, m.name)
	}
	return names
}

// Start builds a method, by its name, over w.
func Start(name string, w World) (Federation, error) {
	for _, m := range methods() {
		if m.name != name {
			continue
		}
		if w.Stream == "" {
			w.Stream = "super-1"
		}
		if err := w.check(); err != nil {
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
		f, err := m.start(w)
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
		return f, nil
	}
	return nil, fmt.Errorf("no method is named %q; there are %s", name, strings.Join(Methods(), ", "))
}

// check finds what no method could work with. What is wrong with single rows the learners tell.
func (w World) check() error {
	if err := w.Config.Validate(); err != nil {
		return err
	}
	if err := checkShare(w.Share); err != nil {
		return err
	}
	if want := 1 + len(w.Config.Families); len(w.Small) != want {
		return fmt.Errorf("%d small base models for %d families", len(w.Small), want)
	}
	if w.Large == nil || slices.Contains(w.Small, nil) {
		return fmt.Errorf("a base model is missing")
	}
	if len(w.Nodes) == 0 || len(w.Public) == 0 {
		return fmt.Errorf("%d nodes and %d public rows; a federation has at least one of each", len(w.Nodes), len(w.Public))
	}
	streams := map[string]bool{w.Stream: true}
	for i, n := range w.Nodes {
		if n.Stream == "" || streams[n.Stream] {
			return fmt.Errorf("node %d: stream %q is empty or another node's", i, n.Stream)
		}
		streams[n.Stream] = true
		if err := w.Config.CheckFamily(n.Family); err != nil {
			return fmt.Errorf("node %s: %w", n.Stream, err)
		}
	}
	return nil
}

// families is the number of structure families.
func (w World) families() int { return len(w.Small) }

// publicFor are the public rows as node n sees them: those that have one of its modalities, without targets, unless the federation hands
// them out.
func (w World) publicFor(n Node) []Example {
	var rows []Example
	for _, r := range n.see(w.Public) {
		if len(r.Inputs) == 0 {
			continue
		}
		if w.Config.PublicLabels != LabelsEdges {
			r.Target = ""
		}
		rows = append(rows, r)
	}
	return rows
}
