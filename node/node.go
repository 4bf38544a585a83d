package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

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
