package record

import (
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Role is what a member may do.
type Role string

// The roles.
const (
	RoleEdge  Role = "edge"
	RoleSuper Role = "super"
)

// Federation is the genesis body; the CID of its record is the federation id and names the topic.
type Federation struct {
	Name    string      `cbor:"name"`
	Founder peer.ID     `cbor:"founder"` // Ed25519, key extractable from the id
	Data    DataSet     `cbor:"data"`
	Bases   Bases       `cbor:"bases"`
	Method  Method      `cbor:"method"`
	Policy  RoundPolicy `cbor:"policy"`
	Share   []string    `cbor:"share"` // component kinds that leave a node: "lora", "encoder", "connector"
}

// DataSet is the public data set: rows for every member, targets for super-peers only, unless the method hands them out.
type DataSet struct {
	Name       string     `cbor:"name"`
	Generated  bool       `cbor:"generated"`
	Rows       uint64     `cbor:"rows"`
	Index      Blob       `cbor:"index"`   // metadata.jsonl of the public rows, without targets unless edges may see them
	Targets    Blob       `cbor:"targets"` // JSON lines {"id","target"}; served to super-peers only
	Modalities []Modality `cbor:"modalities"`
}

// Modality is one input of the data set and how it is turned into a tensor.
type Modality struct {
	Name     string    `cbor:"name"`
	Kind     string    `cbor:"kind"`     // image, audio, series, text
	Shape    []int     `cbor:"shape"`    // of the input tensor of one row
	Channels []string  `cbor:"channels"` // series: CSV columns
	Mean     []float64 `cbor:"mean"`     // per channel, over the public rows
	Std      []float64 `cbor:"std"`
	Rate     float64   `cbor:"rate"`    // audio: Hz after resampling; else 0
	Seconds  float64   `cbor:"seconds"` // audio: clip length; else 0
	Archive  Blob      `cbor:"archive"` // tar of the public rows' files of this modality
}

// Blob names bytes that live outside records.
type Blob struct {
	CID   cid.Cid `cbor:"cid"`
	Bytes int64   `cbor:"bytes"`
}

// Bases are the base models by role. Edges may be of several families, each with a base of its own.
type Bases struct {
	Edge  []Base `cbor:"edge"` // by family
	Super Base   `cbor:"super"`
}

// Base is a frozen base model.
type Base struct {
	Name   string `cbor:"name"`
	Params int64  `cbor:"params"`
	Blob   Blob   `cbor:"blob"`
}

// Method is the learning method and its hyper-parameters (DAG-CBOR of method.Config).
type Method struct {
	Name   string `cbor:"name"`
	Config []byte `cbor:"config"`
}

// RoundPolicy says when a round closes.
type RoundPolicy struct {
	Rounds   uint64  `cbor:"rounds"`   // last round; 0 means endless
	Quorum   float64 `cbor:"quorum"`   // fraction of the live edges whose deltas close a round
	Min      uint64  `cbor:"min"`      // deltas needed at least before the deadline
	Deadline int64   `cbor:"deadline"` // milliseconds since the round opened, after which whatever is in (at least one) is aggregated
}

// Policy says how a federation goes on, in place of what the genesis or an earlier policy says. It is the founder's alone; of several the one
// with the highest sequence number is in force. It says everything each time.
type Policy struct {
	Round      RoundPolicy `cbor:"round"`
	Steps      Steps       `cbor:"steps"`
	KeepRounds uint64      `cbor:"keep_rounds"` // for how many rounds nodes keep blobs; 0: as each node's config says
	Paused     bool        `cbor:"paused"`      // no round begins and none is closed
	Reason     string      `cbor:"reason"`      // why, for people; may be empty
}

// Steps are the optimiser steps of a round.
type Steps struct {
	CCL   uint64 `cbor:"ccl"`   // of an edge on public rows
	AMT   uint64 `cbor:"amt"`   // of an edge on private rows
	Cloud uint64 `cbor:"cloud"` // of a super-peer, for each of its models
}

// Certificate makes Subject a member with a role, or lets it issue one such certificate (an invite).
// The chain runs over Parents to one signed by the founder.
type Certificate struct {
	Subject  peer.ID `cbor:"subject"`
	Name     string  `cbor:"name"` // human name of the node; may be empty
	Role     Role    `cbor:"role"`
	Invite   bool    `cbor:"invite"`             // Subject is an invite key: no member itself, may certify one peer with this role
	Delegate bool    `cbor:"delegate,omitempty"` // Subject, a super-peer, may itself issue invites and certificates, none of them delegates'
	Heir     []byte  `cbor:"heir,omitempty"`     // Subject takes the signer's place, and signs that here with its own key (see p2p)
	Expires  int64   `cbor:"expires"`            // Unix seconds
}

// Revocation ends a certificate, and those that come from it. It is the founder's, or a delegate's of what came from that one.
type Revocation struct {
	Certificate cid.Cid `cbor:"certificate"`
	Reason      string  `cbor:"reason"`
}

// Delta is what an edge shares of a round.
type Delta struct {
	Round      uint64             `cbor:"round"`
	Base       cid.Cid            `cbor:"base"`
	Modalities []string           `cbor:"modalities"`
	Rows       uint64             `cbor:"rows"`   // private training rows
	Public     uint64             `cbor:"public"` // public rows used
	Components []Component        `cbor:"components"`
	Metrics    map[string]float64 `cbor:"metrics"`
}

// Component is one named part of a delta or an aggregate.
type Component struct {
	Name      string `cbor:"name"`      // "lora", "encoder/<modality>", "connector/<modality>", "connector"
	Signature string `cbor:"signature"` // shape signature: only equal signatures are averaged
	Codec     string `cbor:"codec"`     // "safetensors"
	Params    int64  `cbor:"params"`
	Blob      Blob   `cbor:"blob"`
}

// Aggregate is the result of a round.
type Aggregate struct {
	Round       uint64                `cbor:"round"`
	Inputs      []Input               `cbor:"inputs"`
	Components  []AggregatedComponent `cbor:"components"`
	Supervision Blob                  `cbor:"supervision"` // fused representations and soft targets of the public rows; CID undefined if none
	Checkpoint  Blob                  `cbor:"checkpoint"`  // cloud state for failover; CID undefined if none
	Metrics     map[string]float64    `cbor:"metrics"`
}

// Input is one delta of a round with its overall weight (weights of a round sum to 1).
type Input struct {
	Delta      cid.Cid  `cbor:"delta"`
	Round      uint64   `cbor:"round"` // the delta's; before the aggregate's if it came late
	Author     peer.ID  `cbor:"author"`
	Modalities []string `cbor:"modalities"`
	Weight     float64  `cbor:"weight"`
}

// AggregatedComponent is a component with the deltas it was averaged from.
type AggregatedComponent struct {
	Component
	Rule   string            `cbor:"rule"`
	Inputs []ComponentWeight `cbor:"inputs"`
}

// ComponentWeight is the weight of one input in one component.
type ComponentWeight struct {
	Delta  cid.Cid `cbor:"delta"` // a delta, or the super-peer's contribution
	Weight float64 `cbor:"weight"`
}

// Contribution is what a super-peer's own small models put into the aggregate of a round. Without it nobody else could recompute that.
type Contribution struct {
	Round      uint64      `cbor:"round"`
	Rows       uint64      `cbor:"rows"`       // public rows that the models learned from
	Components []Component `cbor:"components"` // of several models, which may have some alike: those are averaged in this order
}

// Dispute says that its author recomputed an aggregate and came to something else.
type Dispute struct {
	Aggregate cid.Cid `cbor:"aggregate"`
	Component string  `cbor:"component"` // name and signature of the part in question; empty if it is the aggregate as a whole
	Signature string  `cbor:"signature"`
	Claimed   cid.Cid `cbor:"claimed"` // blob that the aggregate names; undefined if the dispute is not about a blob
	Found     cid.Cid `cbor:"found"`   // blob that its inputs give; undefined likewise
	Reason    string  `cbor:"reason"`
}
