package node

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// seat is a node's place in its federation: its role and, for an edge, its family, which says what structure its model has.
type seat struct {
	*genesis
	role   record.Role
	family int // 0 for a super-peer
}

// seatOf is the seat of a node with this config.
func (g *genesis) seatOf(role record.Role, cfg Config) (seat, error) {
	s := seat{genesis: g, role: role}
	if role != record.RoleEdge {
		return s, nil
	}
	s.family = cfg.Family
	if err := g.method.CheckFamily(cfg.Family); err != nil {
		return s, api.Advise(fmt.Errorf("federation %q: %w", g.Name, err), "change `family` in config.yaml, or give --family to `mlecs join`")
	}
	return s, nil
}

// base is the base model of the node's own model.
func (s seat) base() record.Base {
	if s.role == record.RoleSuper {
		return s.Bases.Super
	}
	return s.Bases.Edge[s.family]
}

// config is the method's for the node's own model.
func (s seat) config() method.Config {
	if s.role == record.RoleSuper {
		return s.method
	}
	return s.method.Of(s.family)
}

// bases are the base models that the node needs: an edge its own, a super-peer all.
func (s seat) bases() []record.Base {
	if s.role == record.RoleSuper {
		return append([]record.Base{s.Bases.Super}, s.Bases.Edge...)
	}
	return []record.Base{s.base()}
}

// edgeBase tells whether a base model is that of a family.
func (g *genesis) edgeBase(base cid.Cid) bool {
	return slices.ContainsFunc(g.Bases.Edge, func(b record.Base) bool { return b.Blob.CID == base })
}
