package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/learn/kernel"
)

// dtypeFlag is the value of --base-dtype.
type dtypeFlag struct{ kernel.DType }

// Set implements pflag.Value.
func (f *dtypeFlag) Set(name string) (err error) {
	f.DType, err = kernel.ParseDType(name)
	return err
}

// Type implements pflag.Value.
func (f *dtypeFlag) Type() string { return "string" }

const dtypeFlagName = "base-dtype"

// dtypeVar adds --base-dtype.
func dtypeVar(fs *pflag.FlagSet, f *dtypeFlag, usage string) {
	fs.Var(f, dtypeFlagName, usage+": "+dtypeNames())
}

// dtypeOfNodesVar adds --base-dtype of all nodes of a testnet or an experiment.
func dtypeOfNodesVar(fs *pflag.FlagSet, s *experiment.Setting) {
	fs.StringVar(&s.BaseDType, dtypeFlagName, s.BaseDType, "with what digits nodes store frozen base models in memory: "+dtypeNames()+" (default fp32)")
}

// noteShortfall tells who asked for d if this machine takes something else.
func noteShortfall(cmd *cobra.Command, d kernel.DType) {
	if said := d.Shortfall(); said != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "--%s: %s.\n", dtypeFlagName, said)
	}
}

func dtypeNames() string { return strings.Join(kernel.DTypes(), ", ") }
