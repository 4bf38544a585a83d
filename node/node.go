// Package node is one mlecs node: its config and home, its assembly from storage, p2p and learn, its roles, and the round engine.
package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// Config is config.yaml in the home.
type Config struct {
	Name       string     `yaml:"name"`
	Role       string     `yaml:"role"`       // edge or super
	Data       string     `yaml:"data"`       // folder with the node's own rows: train rows stay private, test rows score the node
	Modalities []string   `yaml:"modalities"` // subset in use; empty: all that the data has
	Domain     string     `yaml:"domain"`     // informative
	Baseline   bool       `yaml:"baseline"`   // also train the standalone comparison, same budget, no exchange
	Threads    int        `yaml:"threads"`    // 0: all
	Stream     string     `yaml:"stream"`     // names the node for seeding; default: the node's name
	Log        string     `yaml:"log"`        // debug, info, warn, error
	P2P        p2p.Config `yaml:"p2p"`
}

// Home is a node's home folder on disk.
type Home struct{ Dir string }

// DefaultHome is $MLECS_HOME or ~/.mlecs.
func DefaultHome() string { panic("stub") }

// Init makes home with config.yaml and identity.key (0600). An existing identity is kept, and an error if config exists.
func Init(dir string, cfg Config) (*Home, error) { panic("stub") }
func OpenHome(dir string) (*Home, error)         { panic("stub") }
func (h *Home) Config() (Config, error)          { panic("stub") }
func (h *Home) WriteConfig(c Config) error       { panic("stub") }

// FederationSpec is what `mlecs federation create` takes.
type FederationSpec struct {
	Name                string
	Data                string   // data set folder; its rows with split train (or the given ids) become the public set
	PublicIDs           []string // nil: all training rows
	EdgeBase, SuperBase string   // base model files (mlecs model train); empty: pretrained here on the public targets
	Method              method.Config
	Share               []string
	Policy              record.RoundPolicy
	Progress            func(stage string, done, total int64)
}

// CreateFederation makes the founder key, packs the public data, stores the base models, signs the genesis, and certifies this node as super-peer.
func (h *Home) CreateFederation(ctx context.Context, s FederationSpec) (id string, err error) {
	panic("stub")
}

// Invite makes a token; the home must hold the founder key. Works while the node runs (over its API) and while it does not.
func (h *Home) Invite(ctx context.Context, role record.Role, validFor time.Duration, bootstrap []string) (token string, err error) {
	panic("stub")
}

// Join proves the token's invite, and fetches genesis, the public data of the node's modalities, and its base model.
func (h *Home) Join(ctx context.Context, token string, progress func(what string, done, total int64)) error {
	panic("stub")
}

// Source inspects home: the running node's API, or the store itself if none runs. close it.
func (h *Home) Source() (src api.Source, close func(), err error) { panic("stub") }

// Node is a running node.
type Node struct{}

// New assembles a node on h. It listens on nothing until Run.
func New(h *Home, log *slog.Logger) (*Node, error) { panic("stub") }

// Run serves until ctx ends (nil error) or a service fails for good.
func (n *Node) Run(ctx context.Context) error { panic("stub") }
