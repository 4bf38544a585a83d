package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

func newTestnetCommand() *cobra.Command {
	return newGroupCommand("testnet", "Run a federation of real nodes on this machine",
		newTestnetRunCommand(), newTestnetUpCommand(), newTestnetPsCommand(), newTestnetDownCommand(), newTestnetLogsCommand(),
		newTestnetSimCommand(), newTestnetChaosCommand())
}

// demoSteps is how many steps an edge takes a round: a demonstration has no time for many rounds.
const demoSteps = 200

// testnetFlags are those of `testnet run` and `testnet up`.
type testnetFlags struct {
	options testnet.Options
	deal    *pflag.FlagSet // those that an experiment has, too
	tuned   string
	json    string
	page    bool
}

func (f *testnetFlags) flags(cmd *cobra.Command) {
	f.options = testnet.Defaults()
	o, fs := &f.options, cmd.Flags()
	fs.IntVar(&o.Nodes, "edges", o.Nodes, "edge nodes")
	fs.IntVar(&o.Supers, "supers", o.Supers, "super-peers")
	fs.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of learning")
	fs.StringVar(&o.Data, "data", "", "data set folder (default: one is generated)")
	fs.Uint64Var(&o.Seed, "seed", o.Seed, "seed of data, partition and models")
	f.deal = pflag.NewFlagSet("deal", pflag.ContinueOnError)
	dealFlags(f.deal, &o.Setting, &f.tuned)
	f.deal.Lookup("steps").DefValue = fmt.Sprintf("%d a round, or as an experiment", demoSteps)
	fs.AddFlagSet(f.deal)
	dtypeOfNodesVar(fs, &o.Setting)
	wireFlags(fs, &o.Setting)
	outFlag(cmd, &o.Out)
	fs.StringVar(&f.json, "json", "", "also write report.json to this file; - is standard output")
	fs.BoolVar(&f.page, "dashboard", false, "tell a link to the first node's page, and open it in the browser if there is one")
	fs.BoolVar(&o.Keep, "keep", false, "keep data, base models and learner state, so that the nodes can be started again")
}

func outFlag(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVar(out, "out", "", "folder of the testnet (default \"testnet\" in the mlecs home)")
}

// configure settles how the nodes learn. By default a round is as long as a demonstration needs it; with any of the flags that an experiment
// has, too, the nodes learn as they do there.
func (f *testnetFlags) configure(fs *pflag.FlagSet) error {
	o, given := &f.options, false
	f.deal.VisitAll(func(flag *pflag.Flag) { given = given || flag.Changed })
	if given {
		o.Tuned = nil
		if !fs.Changed("steps") {
			o.Steps = experiment.Default().Steps
		}
		if !fs.Changed("adapt-steps") {
			o.AdaptSteps = experiment.Default().AdaptSteps
		}
	} else {
		o.Steps = demoSteps * o.Rounds
	}
	if f.tuned == "" {
		return nil
	}
	var err error
	o.Tuned, err = experiment.ReadTuned(f.tuned)
	return err
}

// prepare validates the options and opens the outputs. finish closes them.
func (f *testnetFlags) prepare(cmd *cobra.Command) (finish func() error, err error) {
	if err := f.configure(cmd.Flags()); err != nil {
		return nil, err
	}
	if err := f.options.Validate(); err != nil {
		return nil, usageError{err}
	}
	if f.page {
		f.options.Dashboard = func(url string) {
			openBrowser(cmd.Context(), url) // the link is shown too, for machines without a desktop
		}
	}
	text := cmd.OutOrStdout()
	finish = func() error { return nil }
	switch f.json {
	case "":
	case "-":
		f.options.JSON, text = cmd.OutOrStdout(), cmd.ErrOrStderr()
	default:
		// Opened before the work begins, so that a path that cannot be written does not cost a run.
		file, err := os.Create(f.json)
		if err != nil {
			return nil, api.Advise(fmt.Errorf("open the report's file: %w", err), "give a file that can be written with --json")
		}
		f.options.JSON, finish = file, file.Close
	}
	f.options.Text, f.options.Bars = text, isTerminal(text)
	return finish, nil
}

func testnetFolder(out string) string {
	if out == "" {
		return testnet.DefaultFolder()
	}
	return out
}
