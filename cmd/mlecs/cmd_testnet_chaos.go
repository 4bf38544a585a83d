package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet/chaos"
)

func newTestnetChaosCommand() *cobra.Command {
	var opt chaos.Options
	var json string
	cmd := &cobra.Command{
		Use: "chaos SCENARIO|FILE", Short: "Break a testnet on purpose and tell what held", Args: oneArg("scenario, or file with a script"),
		Long: `Run a testnet of real processes, break it as a scenario says, and give a verdict. It fails if a check fails.

The scenarios are ` + strings.Join(chaos.Scenarios(), ", ") + `.
A FILE in place of a name is a script of your own: lines such as "kill edge-1", "partition super-2,edge-3 | rest", "heal",
'expect "rounds go on" rounds +2 within=60s'. docs/reliability.md describes the language.

Partitions and slow links use network namespaces where root is available, else proxies between the processes. A small disk takes root.`,
		Example:   "  mlecs testnet chaos kill\n  mlecs testnet chaos partition --seed 7 --json verdict.json\n  mlecs testnet chaos my.chaos --edges 4",
		ValidArgs: chaos.Scenarios(),
		RunE:      func(cmd *cobra.Command, args []string) error { return runTestnetChaos(cmd, args[0], opt, json) },
	}
	fs := cmd.Flags()
	fs.IntVar(&opt.Edges, "edges", 0, "edge nodes (default: as the scenario says)")
	fs.IntVar(&opt.Supers, "supers", 0, "super-peers (default: as the scenario says)")
	fs.Uint64Var(&opt.Seed, "seed", 1, "seed of the data, the models, and of all that the scenario draws")
	fs.BoolVar(&opt.Unprivileged, "unprivileged", false, "do without root even where it is there")
	outFlag(cmd, &opt.Out)
	fs.StringVar(&json, "json", "", "write the verdict to this file; - is standard output")
	return cmd
}

func runTestnetChaos(cmd *cobra.Command, scenario string, opt chaos.Options, json string) (err error) {
	if opt.Edges < 0 || opt.Supers < 0 {
		return usageError{fmt.Errorf("--edges %d --supers %d: neither may be below 0", opt.Edges, opt.Supers)}
	}
	if opt.Script, err = chaos.Load(scenario); err != nil {
		return err
	}
	text, out := cmd.OutOrStdout(), cmd.OutOrStdout()
	switch json {
	case "":
		out = nil
	case "-":
		text = cmd.ErrOrStderr()
	default:
		file, err := os.Create(json)
		if err != nil {
			return api.Advise(fmt.Errorf("open the verdict's file: %w", err), "give a file that can be written with --json")
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	opt.Text = text
	verdict, err := chaos.Run(cmd.Context(), opt)
	if err != nil {
		return err
	}
	verdict.Print(text)
	if out != nil {
		if err := verdict.WriteJSON(out); err != nil {
			return err
		}
	}
	if n := verdict.Failed(); n > 0 {
		return api.Advise(fmt.Errorf("%d of %d checks failed", n, len(verdict.Checks)), "the nodes' homes and logs are in %s", testnetFolder(opt.Out))
	}
	return nil
}
