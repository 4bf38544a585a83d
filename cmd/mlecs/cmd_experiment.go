package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/method"
)

type experimentOptions struct {
	experiment.Options
	methods   string
	seeds     int
	firstSeed uint64
	tuned     string
	tune      int
	json      bool
}

func newExperimentCommand() *cobra.Command {
	o := &experimentOptions{}
	o.Setting = experiment.Default()
	cmd := &cobra.Command{
		Use: "experiment", Short: "Compare learning methods on a data set", Args: noArgs,
		Long: `Runs methods of federated learning on one data set, in one process and with exchange in memory: the code that nodes run, without the
network. Every method sees the same nodes, rows, initial weights, batches and number of steps for a seed. Each edge is scored on its own test
rows, the server on all of them.

Writes results.json, table.md, curves.png and curves.svg to --out. Finished runs are kept there, so that a run that was stopped goes on.

With --tune N the hyper-parameters of every method are searched: N points each, scored on validation rows (split "validation", or held out
from the training rows), without a look at the test rows. tuned.json is what --tuned takes. Use other seeds than for the results.

Methods: ` + strings.Join(method.Methods(), ", ") + `.
"all" are all of these.`,
		Example: `  mlecs experiment --data my-data --out results
  mlecs experiment --data my-data --tune 8 --seeds 3 --first-seed 1001 --out search
  mlecs experiment --data my-data --tuned search/tuned.json --methods mlecs,fedavg-lora,fedmd --out results`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExperiment(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", "", "data set folder (required)")
	f.StringVar(&o.Out, "out", "", "folder of the results (required)")
	f.StringVar(&o.methods, "methods", "all", "methods, separated by commas, or all")
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "edge nodes")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of learning")
	dealFlags(f, &o.Setting, &o.tuned)
	dtypeOfNodesVar(f, &o.Setting)
	wireFlags(f, &o.Setting)
	f.IntVar(&o.seeds, "seeds", 12, "number of seeds")
	f.Uint64Var(&o.firstSeed, "first-seed", 1, "the first of the seeds")
	f.IntVar(&o.tune, "tune", 0, "search hyper-parameters on validation rows: so many points a method")
	f.BoolVar(&o.Validate, "validate", false, "score on validation rows instead of test rows")
	f.IntVar(&o.Curves, "curves", 2, "draw curves from so many of the seeds (each costs the scoring of ten rounds)")
	f.IntVar(&o.Parallel, "parallel", 0, "runs at a time (default: one a processor)")
	f.BoolVar(&o.json, "json", false, "print results.json")
	return cmd
}

// maxSeeds bounds an experiment.
const maxSeeds = 10000

func runExperiment(cmd *cobra.Command, o *experimentOptions) error {
	switch {
	case o.Data == "":
		return usageError{errors.New("say what to learn from with --data DIR")}
	case o.Out == "":
		return usageError{errors.New("say where to write the results with --out DIR")}
	case o.seeds < 1 || o.seeds > maxSeeds:
		return usageError{fmt.Errorf("--seeds %d: take 1 to %d", o.seeds, maxSeeds)}
	}
	if err := o.Setting.Validate(); err != nil {
		return usageError{err}
	}
	if dtype, err := kernel.ParseDType(o.BaseDType); err == nil { // empty, or a type
		noteShortfall(cmd, dtype)
	}
	o.Methods = method.Methods()
	if o.methods != "all" {
		o.Methods = strings.Split(o.methods, ",")
	}
	for i := range o.seeds {
		o.Seeds = append(o.Seeds, o.firstSeed+uint64(i))
	}
	if o.tuned != "" {
		var err error
		if o.Tuned, err = experiment.ReadTuned(o.tuned); err != nil {
			return err
		}
	}
	p := &experimentProgress{w: cmd.ErrOrStderr()}
	o.Progress = p
	if o.tune > 0 {
		_, searches, err := experiment.Tune(cmd.Context(), o.Options, o.tune)
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(cmd.OutOrStdout(), searches)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "wrote %s/tuned.json\n", o.Out)
		return nil
	}
	r, err := experiment.Execute(cmd.Context(), o.Options)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	r.Text(cmd.OutOrStdout())
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s/results.json, table.md and curves\n", o.Out)
	return nil
}

// experimentProgress prints a line a run.
type experimentProgress struct{ w io.Writer }

func (p *experimentProgress) Round(string, uint64, int, int) {}

func (p *experimentProgress) Done(r experiment.Run, done, total int, known bool) {
	how := fmt.Sprintf("%.0f s", r.Seconds)
	if known {
		how = "done before"
	}
	fmt.Fprintf(p.w, "%d/%d %s, seed %d: edges %.3f, server %.3f Rouge-LSum (%s)\n", done, total, r.Method, r.Seed, r.EdgesRougeLsum, r.ServerRougeLsum, how)
}
