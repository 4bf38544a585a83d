package experiment_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/learn/method"
)

// generated is a small data set, made once.
var generated = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "experiment")
	if err != nil {
		return "", err
	}
	dir += "/rows"
	return dir, data.Generate(dir, data.GenerateOptions{Homes: 3, RowsPerHome: 24, Seed: 3})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := generated(); err == nil {
		os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// small is an experiment that takes a second.
func small(t *testing.T) experiment.Options {
	t.Helper()
	dir, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return experiment.Options{
		Setting: experiment.Setting{
			Nodes: 3, RowsPerNode: 6, PublicRows: 8, ModalityRate: 0.7, Families: 1, PublicLabels: "cloud", Rounds: 2, Steps: 4,
		},
		Data: dir, Methods: []string{"standalone", "mlecs"}, Seeds: []uint64{5}, Out: t.TempDir(),
		Tuned: experiment.Tuned{"standalone": []byte(`{"batch": 2, "max_tokens": 32}`), "mlecs": []byte(`{"batch": 2, "max_tokens": 32}`)},
	}
}

// heard is what a Progress was told of ended runs.
type heard struct {
	known, fresh []string // "method seed"
	ended        func()   // after each fresh run; may be nil
}

func (h *heard) Round(string, uint64, int, int) {}

func (h *heard) Done(r experiment.Run, done, total int, known bool) {
	name := fmt.Sprint(r.Method, " ", r.Seed)
	if known {
		h.known = append(h.known, name)
		return
	}
	h.fresh = append(h.fresh, name)
	if h.ended != nil {
		h.ended()
	}
}

func execute(t *testing.T, opt experiment.Options) (*experiment.Results, *heard) {
	t.Helper()
	h := &heard{}
	opt.Progress = h
	r, err := experiment.Execute(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r, h
}

// scoresOf are results as JSON, without where they are and how long they took.
func scoresOf(t *testing.T, r *experiment.Results) string {
	t.Helper()
	c := *r
	c.Dataset.Path, c.Runs = "", slices.Clone(r.Runs)
	for i := range c.Runs {
		c.Runs[i].Seconds = 0
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func runFiles(t *testing.T, out string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(out, "runs", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestExecuteWritesResultsAndGoesOnWhereItWas(t *testing.T) {
	opt := small(t)
	opt.Seeds, opt.Curves = []uint64{5, 6}, 1
	first, h := execute(t, opt)
	if len(h.fresh) != 4 || len(h.known) != 0 {
		t.Fatalf("four runs are to do; heard of %+v", h)
	}
	var order []string
	for _, r := range first.Runs {
		order = append(order, fmt.Sprint(r.Method, " ", r.Seed))
		if got, want := len(r.Curve) > 0, r.Seed == 5; got != want {
			t.Errorf("%s, seed %d has a curve: %v", r.Method, r.Seed, got)
		}
		if len(r.PerNode) != 3 || r.EdgesRougeLsum < 0 || r.EdgesRougeLsum > 1 || r.ServerRougeLsum < 0 || r.ServerRougeLsum > 1 {
			t.Errorf("%+v", r)
		}
		if sends := r.Method == "mlecs"; (r.BytesPerEdgeRound > 0) != sends || (r.FractionOfModelBytes > 0) != sends || (r.FractionOfParams > 0) != sends ||
			(r.DownPerEdgeRound > 0) != sends {
			t.Errorf("%s sends %+v, and receives %v bytes", r.Method, r.Sent, r.DownPerEdgeRound)
		}
	}
	if want := "[standalone 5 standalone 6 mlecs 5 mlecs 6]"; fmt.Sprint(order) != want {
		t.Errorf("runs are %v, want %v", order, want)
	}
	if first.Settings.Scored != "test" || !first.Dataset.Generated || first.Dataset.Rows != 3*24 {
		t.Errorf("%+v, %+v", first.Settings.Scored, first.Dataset)
	}
	t.Run("files", func(t *testing.T) { hasFiles(t, opt.Out, first) })
	t.Run("again", func(t *testing.T) {
		again, h := execute(t, opt)
		if len(h.known) != 4 || len(h.fresh) != 0 {
			t.Errorf("all is done; heard of %+v", h)
		}
		if scoresOf(t, again) != scoresOf(t, first) {
			t.Error("what was remembered is not what was found")
		}
	})
	t.Run("half a file", func(t *testing.T) {
		file := runFiles(t, opt.Out)[0]
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, raw[:len(raw)/2], 0o644); err != nil {
			t.Fatal(err)
		}
		again, h := execute(t, opt)
		if len(h.known) != 3 || len(h.fresh) != 1 {
			t.Errorf("one is to do again; heard of %+v", h)
		}
		if scoresOf(t, again) != scoresOf(t, first) {
			t.Error("the run that was done again has another outcome")
		}
	})
	t.Run("other data", func(t *testing.T) {
		o := opt
		o.Methods, o.Seeds, o.Data = []string{"standalone"}, []uint64{5}, reworded(t, opt.Data)
		if _, h := execute(t, o); len(h.fresh) != 1 {
			t.Errorf("as many rows, but another target; heard of %+v", h)
		}
	})
}

// hasFiles checks what Execute wrote.
func hasFiles(t *testing.T, out string, r *experiment.Results) {
	for name, start := range map[string]string{"table.md": "# generated homes\n", "curves.png": "\x89PNG", "curves.svg": "<?xml"} {
		raw, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || !bytes.HasPrefix(raw, []byte(start)) {
			t.Errorf("%s starts with %.20q (%v)", name, raw, err)
		}
	}
	read, err := experiment.ReadResults(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if scoresOf(t, read) != scoresOf(t, r) {
		t.Error("results.json is not what Execute returned")
	}
}

// reworded is the data set in another folder, with one target changed.
func reworded(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "rows")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(to, data.MetadataFile)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), `"target": "`, `"target": "perhaps `, 1)
	if changed == string(raw) {
		t.Fatal("found no target to change")
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestScoresDependOnNothingElse: not on the folder, not on how many runs go on at a time, not on which others there are.
func TestScoresDependOnNothingElse(t *testing.T) {
	opt := small(t)
	opt.Rounds, opt.Steps, opt.Parallel = 3, 6, 1
	alone, _ := execute(t, opt)
	opt.Out, opt.Parallel = t.TempDir(), 2
	together, _ := execute(t, opt)
	if a, b := scoresOf(t, alone), scoresOf(t, together); a != b {
		t.Errorf("one at a time:\n%s\ntwo at a time:\n%s", a, b)
	}
	opt.Out, opt.Methods = t.TempDir(), []string{"mlecs"}
	only, _ := execute(t, opt)
	run := slices.IndexFunc(alone.Runs, func(r experiment.Run) bool { return r.Method == "mlecs" })
	if a, b := fmt.Sprint(alone.Runs[run].PerNode), fmt.Sprint(only.Runs[0].PerNode); a != b {
		t.Errorf("beside another method:\n%s\nwithout:\n%s", a, b)
	}
}

// TestCancelledExecuteKeepsFinishedRuns: the next call goes on behind them.
func TestCancelledExecuteKeepsFinishedRuns(t *testing.T) {
	opt := small(t)
	opt.Parallel = 1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &heard{ended: cancel}
	opt.Progress = h
	if _, err := experiment.Execute(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if len(h.fresh) != 1 || len(runFiles(t, opt.Out)) != 1 {
		t.Fatalf("heard of %+v, and %d runs are kept", h, len(runFiles(t, opt.Out)))
	}
	if _, err := os.Stat(filepath.Join(opt.Out, "results.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("results of half an experiment: %v", err)
	}
	if _, next := execute(t, opt); fmt.Sprint(next.known) != fmt.Sprint(h.fresh) || len(next.fresh) != 1 {
		t.Errorf("after %v, heard of %+v", h.fresh, next)
	}
}

// TestTuneSearchesOnValidationRows: its runs are none of the experiment's, and what it finds is read again.
func TestTuneSearchesOnValidationRows(t *testing.T) {
	opt := small(t)
	opt.Methods = []string{"standalone"}
	tuned, searches, err := experiment.Tune(t.Context(), opt, 2)
	if err != nil {
		t.Fatal(err)
	}
	best := searches[0].Trials[0]
	for i, trial := range searches[0].Trials {
		if trial.Edges+trial.Server > best.Edges+best.Server {
			best = trial
		}
		r, err := experiment.ReadResults(filepath.Join(opt.Out, "search", fmt.Sprintf("standalone-%d", i), "results.json"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Settings.Scored != "validation" {
			t.Errorf("trial %d is scored on %s rows", i, r.Settings.Scored)
		}
	}
	read, err := experiment.ReadTuned(filepath.Join(opt.Out, "tuned.json"))
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, read["standalone"]); err != nil {
		t.Fatal(err)
	}
	if len(searches[0].Trials) != 2 || string(tuned["standalone"]) != string(best.Values) || compact.String() != string(best.Values) {
		t.Errorf("%+v; found %s, wrote %s", searches, tuned["standalone"], compact.String())
	}
}

// TestEveryNodeOfItsOwnKind: backbones, encoders, fusions, ranks and numbers of rows all differ in one federation, and all learn.
func TestEveryNodeOfItsOwnKind(t *testing.T) {
	opt := small(t)
	opt.Methods, opt.RowsSpread = []string{"mlecs"}, 2
	opt.Families, opt.Structures = 3, []method.Family{
		{Model: method.Backbone{Architecture: "llama", Layers: 1, Dim: 32, Heads: 4, KVHeads: 2}, Width: 8, Projection: 24, Fused: 96, Rank: 2},
		{Rank: 3, Fused: 128},
	}
	r, _ := execute(t, opt)
	rows := map[int]bool{}
	for i, n := range r.Runs[0].PerNode {
		rows[n.Rows] = true
		if n.Family != i || n.RougeLsum <= 0 {
			t.Errorf("%+v, want one of family %d that answers", n, i)
		}
	}
	if len(rows) < 2 {
		t.Error("all have as many rows")
	}
	if got := r.Settings.Config["mlecs"].Families; !slices.Equal(got, opt.Structures) {
		t.Errorf("structures %+v, want %+v", got, opt.Structures)
	}
}

func TestExecuteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*experiment.Options)
		want   string
	}{
		"no method":         {func(o *experiment.Options) { o.Methods = nil }, "at least one method"},
		"no seed":           {func(o *experiment.Options) { o.Seeds = nil }, "one seed"},
		"an unknown method": {func(o *experiment.Options) { o.Methods = []string{"fedfoo"} }, `"fedfoo" is no method`},
		"a method twice":    {func(o *experiment.Options) { o.Methods = []string{"mlecs", "mlecs"} }, "listed twice"},
		"a seed twice":      {func(o *experiment.Options) { o.Seeds = []uint64{5, 6, 5} }, "seed 5 is listed twice"},
		"a bad setting":     {func(o *experiment.Options) { o.Families = 3 }, "families is 3"},
		"structures":        {func(o *experiment.Options) { o.Structures = make([]method.Family, 2) }, "families is 1, and 2 structures"},
		"a structure":       {func(o *experiment.Options) { o.Families, o.Structures = 2, []method.Family{{Rank: -1}} }, "family 1"},
		"a spread":          {func(o *experiment.Options) { o.RowsSpread = 0.1 }, "rows spread is 0.1"},
		"noise alone":       {func(o *experiment.Options) { o.DPNoise = 1 }, "dp_clip is not"},
		"a codec":           {func(o *experiment.Options) { o.AggregateCodec = "lowrank" }, `aggregate_codec is "lowrank"`},
		"no data":           {func(o *experiment.Options) { o.Data += "-none" }, "opening data set"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := small(t)
			c.change(&opt)
			if _, err := experiment.Execute(t.Context(), opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(runFiles(t, opt.Out)) > 0 {
				t.Error("something ran")
			}
		})
	}
	if _, _, err := experiment.Tune(t.Context(), small(t), 0); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("a search of no points: %v", err)
	}
}
