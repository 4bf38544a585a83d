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
	set, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	gaps := t.TempDir() + "/gaps" // where rows lack modalities
	for i, row := range set.Rows {
		if lacks := []string{"image", "sensor", "", ""}[i%4]; lacks != "" {
			delete(row.Files, lacks)
		}
	}
	if err := set.Write(gaps, set.Rows, nil); err != nil {
		t.Fatal(err)
	}
	few := experiment.Setting{Nodes: 4, Families: 2, PublicLabels: "cloud", Rounds: 2, RowsPerNode: 8, PublicRows: 12, ModalityRate: 0.5, Steps: 40}
	all := experiment.Setting{Nodes: 2, Families: 1, PublicLabels: "edges", Rounds: 2, Steps: 12, BaseDType: "int8"}
	cases := []struct {
		name    string
		dir     string
		setting experiment.Setting
	}{
		{"few rows with gaps, two structures", gaps, few},
		{"all rows, labels everywhere, bases in bytes", dir, all},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { sameScores(t, c.dir, c.setting, batchOf(4)) })
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
	t.Logf("server %v, edges %v", run.ServerRougeLsum, run.EdgesRougeLsum)
	near("server's exact match", report.Nodes[0].ExactMatch, run.ServerExactMatch)
	learned := run.ServerRougeLsum > 0
	for i, want := range run.PerNode {
		learned = learned && want.RougeLsum > 0
		got := report.Nodes[i+1]
		if got.Name != want.Node || got.TestRows != want.TestRows || fmt.Sprint(got.Modalities) != fmt.Sprint(want.Modalities) {
			t.Errorf("testnet: %s with %d test rows and %v; experiment: %s with %d and %v", got.Name, got.TestRows, got.Modalities, want.Node, want.TestRows, want.Modalities)
		}
		near(want.Node+"'s Rouge-LSum", got.RougeLsum, want.RougeLsum)
		near(want.Node+"'s exact match", got.ExactMatch, want.ExactMatch)
		near(want.Node+"'s constant answer", testnet.Compared{Together: got.RougeLsum.Constant}, want.Constant)
	}
	if !learned {
		t.Error("some node scores nothing: equal scores say nothing")
	}
}

func told(x *float64) any {
	if x == nil {
		return "nothing"
	}
	return *x
}
