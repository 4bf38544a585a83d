package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

type initOptions struct {
	homeFlags
	settings
}

// settings are the flags that set keys of config.yaml.
type settings struct {
	name, role, data, domain string
	modalities, listen       []string
	family                   int
	dtype                    dtypeFlag
	mdns                     bool
}

func (s *settings) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "name of the node, told to other members (default: the host's name)")
	f.StringVar(&s.role, "role", "", "edge or super (default: what the invite says)")
	f.StringVar(&s.data, "data", "", "folder with the node's own rows (metadata.jsonl); they never leave the node")
	f.StringVar(&s.domain, "domain", "", "place, person or device that the rows are from; informative")
	f.StringSliceVar(&s.modalities, "modalities", nil, "modalities in use (default: all that the data has)")
	f.IntVar(&s.family, "family", 0, "which of the federation's families of edges this node is of: its model's structure and base")
	dtypeVar(f, &s.dtype, "with what digits this node stores frozen base models in memory")
	f.StringSliceVar(&s.listen, "listen", nil, "multiaddrs to listen on (default: TCP and QUIC on a free port of all interfaces)")
	f.BoolVar(&s.mdns, "mdns", true, "find members on the local network by multicast DNS")
}

// apply puts the flags that were given into c.
func (s *settings) apply(cmd *cobra.Command, c *node.Config) error {
	given := cmd.Flags().Changed
	if given("name") {
		c.Name = s.name
	}
	if given("role") {
		c.Role = s.role
	}
	if given("data") {
		dir, err := filepath.Abs(s.data)
		if err != nil {
			return err
		}
		c.Data = dir
	}
	if given("domain") {
		c.Domain = s.domain
	}
	if given("modalities") {
		c.Modalities = s.modalities
	}
	if given("family") {
		c.Family = s.family
	}
	if given(dtypeFlagName) {
		c.BaseDType = s.dtype.String()
	}
	if given("listen") {
		c.P2P.Listen = s.listen
	}
	if given("mdns") {
		c.P2P.MDNS = s.mdns
	}
	return nil
}

func newInitCommand() *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a node's home: config.yaml and its identity key",
		Example: `  mlecs init --name kitchen --data ~/kitchen-rows
  mlecs init --home /var/lib/mlecs --listen /ip4/0.0.0.0/tcp/4001,/ip4/0.0.0.0/udp/4001/quic-v1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd, o) },
	}
	o.homeFlags.register(cmd)
	o.settings.register(cmd)
	return cmd
}

func runInit(cmd *cobra.Command, o *initOptions) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	cfg := node.DefaultConfig()
	if err := o.apply(cmd, &cfg); err != nil {
		return err
	}
	h, err := node.Init(dir, cfg)
	if err != nil {
		return err
	}
	id, err := h.PeerID()
	if err != nil {
		return err
	}
	noteShortfall(cmd, o.dtype.DType)
	fmt.Fprintf(cmd.OutOrStdout(), "Made %s for node %s (%s).\nNext: mlecs join TOKEN, or mlecs federation create --data DIR\n", h.Dir, cfg.Name, id)
	return nil
}
