package main

import (
	"strings"

	"github.com/spf13/pflag"

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

// dtypeVar adds --base-dtype.
func dtypeVar(fs *pflag.FlagSet, f *dtypeFlag, usage string) {
	fs.Var(f, "base-dtype", usage+": "+strings.Join(kernel.DTypes(), ", "))
}
