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

// homeFlags choose the home that a command works on, or the node over TCP that it asks.
type homeFlags struct {
	home   string
	node   string
	out    string
	remote api.Remote
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

// registerAsking adds to these the flags that name a node over TCP.
func (f *homeFlags) registerAsking(cmd *cobra.Command) {
	f.registerInspecting(cmd)
	cmd.Flags().StringVar(&f.remote.Address, "address", "", "https://HOST:PORT of a node on another machine (api.listen there), in place of --home")
	cmd.Flags().StringVar(&f.remote.TokenFile, "token-file", "", "with --address: file with that node's token, a copy of its api.token")
	cmd.Flags().StringVar(&f.remote.CAFile, "ca-file", "", "with --address: PEM file of certificates to trust (default: the system's)")
}

// isRemote tells whether a node over TCP is to be asked.
func (f *homeFlags) isRemote() (bool, error) {
	r := f.remote
	switch {
	case r.Address == "" && (r.TokenFile != "" || r.CAFile != ""):
		return false, usageError{errors.New("--token-file and --ca-file go with --address")}
	case r.Address == "":
		return false, nil
	case f.home != "" || f.node != "" || f.out != "":
		return false, usageError{errors.New("--address excludes --home, --node and --out")}
	case r.TokenFile == "":
		return false, usageError{errors.New("--address needs --token-file FILE: a copy of api.token in that node's home")}
	}
	if err := f.remote.Validate(); err != nil {
		return false, usageError{err}
	}
	return true, nil
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

// dial connects to the chosen node, which must run.
func (f *homeFlags) dial(ctx context.Context) (*api.Client, error) {
	if remote, err := f.isRemote(); err != nil {
		return nil, err
	} else if remote {
		return api.DialRemote(ctx, f.remote)
	}
	h, err := f.open()
	if err != nil {
		return nil, err
	}
	return api.Dial(h.Dir)
}

// source asks the chosen node, or the home that none runs on. release ends it.
func (f *homeFlags) source(ctx context.Context) (src api.Source, release func(), err error) {
	if remote, err := f.isRemote(); err != nil {
		return nil, nil, err
	} else if remote {
		client, err := api.DialRemote(ctx, f.remote)
		if err != nil {
			return nil, nil, err
		}
		return client, client.Close, nil
	}
	h, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	return h.Source()
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
	i.registerAsking(cmd)
	cmd.Flags().BoolVar(&i.json, "json", false, "print JSON")
	if cmd.Args == nil {
		cmd.Args = noArgs
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return i.run(cmd) }
	return cmd
}

func (i *inspection[T]) run(cmd *cobra.Command) error {
	src, release, err := i.source(cmd.Context())
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
