package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

// homeFlags choose the home that a command works on.
type homeFlags struct {
	home string
	node string
	out  string
}

func (f *homeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.home, "home", "", "home folder of the node (default $MLECS_HOME or ~/.mlecs)")
}

// registerInspecting adds the flags that name a node of a testnet.
func (f *homeFlags) registerInspecting(cmd *cobra.Command) {
	f.register(cmd)
	cmd.Flags().StringVar(&f.node, "node", "", "node of the testnet, such as edge-1, in place of --home")
	cmd.Flags().StringVar(&f.out, "out", "", "folder of the testnet (default \"testnet\" in the mlecs home)")
}

// dir is the chosen home folder.
func (f *homeFlags) dir() (string, error) {
	switch {
	case f.node != "" && f.home != "":
		return "", usageError{errors.New("--home and --node exclude each other")}
	case f.node == "" && f.out != "":
		return "", usageError{errors.New("--out needs --node NAME")}
	case f.node != "":
		t, err := testnet.OpenFolder(testnetFolder(f.out))
		if err != nil {
			return "", err
		}
		m, err := t.Member(f.node)
		if err != nil {
			return "", err
		}
		return m.Home, nil
	case f.home != "":
		return filepath.Clean(f.home), nil
	}
	return node.DefaultHome(), nil
}

func (f *homeFlags) open() (*node.Home, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	return node.OpenHome(dir)
}

// dial connects to the node that runs on the chosen home.
func (f *homeFlags) dial() (*api.Client, error) {
	h, err := f.open()
	if err != nil {
		return nil, err
	}
	return api.Dial(h.Dir)
}

// openOrInit opens the home, and makes it with defaults first if there is none.
func (f *homeFlags) openOrInit() (*node.Home, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	if h, err := node.OpenHome(dir); !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	return node.Init(dir, node.DefaultConfig())
}

// inspection is the common part of the inspecting commands: it asks one source, and shows the answer as a table or as JSON.
type inspection[T any] struct {
	homeFlags
	json bool
	ask  func(context.Context, api.Source) (T, error)
	show func(*page, T)
}

func (i *inspection[T]) command(cmd *cobra.Command) *cobra.Command {
	i.registerInspecting(cmd)
	cmd.Flags().BoolVar(&i.json, "json", false, "print JSON")
	if cmd.Args == nil {
		cmd.Args = noArgs
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return i.run(cmd) }
	return cmd
}

func (i *inspection[T]) run(cmd *cobra.Command) error {
	h, err := i.open()
	if err != nil {
		return err
	}
	src, release, err := h.Source()
	if err != nil {
		return err
	}
	defer release()
	answer, err := i.ask(cmd.Context(), src)
	if err != nil {
		return err
	}
	if i.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	i.show(&page{w: cmd.OutOrStdout()}, answer)
	return nil
}
