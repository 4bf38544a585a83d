package testnet_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/testnet"
)

// TestScoresAreThoseOfAnExperiment: nodes that gossip and a loop in memory are one method. What is measured by experiments holds for
// federations.
func TestScoresAreThoseOfAnExperiment(t *testing.T) {
	dir := t.TempDir() + "/rows"
	if err := data.Generate(dir, data.GenerateOptions{Homes: 2, RowsPerHome: 40, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	base := experiment.Setting{Nodes: 3, Families: 1, PublicLabels: "cloud", Rounds: 2, RowsPerNode: 8, PublicRows: 12, ModalityRate: 0.5, Steps: 12}
	cases := map[string]func(*experiment.Setting){
		"few rows":                    func(*experiment.Setting) {},
		"all rows, labels everywhere": func(s *experiment.Setting) { s.RowsPerNode, s.PublicRows, s.PublicLabels = 0, 0, "edges" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			setting := base
			change(&setting)
			sameScores(t, dir, setting, batchOf(4))
		})
	}
}

// sameScores runs a testnet and an experiment and compares every node.
func sameScores(t *testing.T, dir string, setting experiment.Setting, tuned experiment.Tuned) {
	t.Helper()
	const seed = 5
	var text bytes.Buffer
	o := testnet.Defaults()
	o.Setting, o.Tuned, o.Data, o.Seed, o.Out, o.InProcess, o.Text = setting, tuned, dir, seed, t.TempDir()+"/net", true, &text
	report, err := testnet.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	for _, r := range report.Rounds {
		if len(r.Inputs) != setting.Nodes {
			t.Fatalf("round %d has %d deltas; nothing can be said\n%s", r.Round, len(r.Inputs), text.String())
		}
	}
	results, err := experiment.Execute(t.Context(), experiment.Options{
		Setting: setting, Data: dir, Methods: []string{"mlecs"}, Seeds: []uint64{seed}, Tuned: tuned, Out: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run := results.Runs[0]
	near := func(what string, got testnet.Compared, want float64) {
		if got.Together == nil || math.Abs(*got.Together-want) > 1e-6 {
			t.Errorf("%s: the testnet reaches %v, the experiment %v", what, told(got.Together), want)
		}
	}
	near("server's Rouge-LSum", report.Nodes[0].RougeLsum, run.ServerRougeLsum)
	near("server's exact match", report.Nodes[0].ExactMatch, run.ServerExactMatch)
	for i, want := range run.PerNode {
		got := report.Nodes[i+1]
		if got.Name != want.Node || got.TestRows != want.TestRows || fmt.Sprint(got.Modalities) != fmt.Sprint(want.Modalities) {
			t.Errorf("testnet: %s with %d test rows and %v; experiment: %s with %d and %v", got.Name, got.TestRows, got.Modalities, want.Node, want.TestRows, want.Modalities)
		}
		near(want.Node+"'s Rouge-LSum", got.RougeLsum, want.RougeLsum)
		near(want.Node+"'s exact match", got.ExactMatch, want.ExactMatch)
		near(want.Node+"'s constant answer", testnet.Compared{Together: got.RougeLsum.Constant}, want.Constant)
	}
}

func told(x *float64) any {
	if x == nil {
		return "nothing"
	}
	return *x
}
