package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Keys of small state in the store. Values are JSON.
const (
	keyMembership = "node/membership"
	keyPublic     = "node/public"    // what data/public holds
	keyFacts      = "node/facts"     // what a stopped node tells of its learner
	keyAddrs      = "node/addrs"     // where the node last listened
	keyPorts      = "node/ports"     // ports taken for listen addresses with port 0
	keyEdge       = "learn/edge"     // edgeState
	keyBaseline   = "learn/baseline" // baselineState
	keyTraffic    = "node/traffic"
	keyRestored   = "node/restored" // set until a node that came from a backup has synced
	keyFinding    = "verify/"       // + aggregate CID: finding
	keyStanding   = "node/standing" // CID of the newest aggregate when the node last looked
	keyConstant   = "scores/constant"
	keyTogether   = "scores/together/"   // + round, 9 digits
	keyStandalone = "scores/standalone/" // + round, 9 digits
)

// putJSON stores v under key.
func putJSON(s *storage.Store, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	if err := s.Put(key, b); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// getJSON reads key into v; ok is false if it is not there.
func getJSON(s *storage.Store, key string, v any) (ok bool, err error) {
	b, err := s.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", key, err)
	}
	return true, nil
}

// membership is what a home remembers of the federation it is a member of.
type membership struct {
	Federation string      `json:"federation"` // genesis CID
	Role       record.Role `json:"role"`
	Chain      [][]byte    `json:"chain"`     // certificate envelopes, founder's first
	Bootstrap  []string    `json:"bootstrap"` // of the invite
}

// errNoFederation says that a home is no member yet.
var errNoFederation = errors.New("home is in no federation")

// noFederation is errNoFederation with what to do about it.
func noFederation() error {
	return api.Advise(errNoFederation, "create one with `mlecs federation create`, or join one with `mlecs join TOKEN`")
}

// loadMembership reads the home's membership; errNoFederation if it has none.
func loadMembership(s *storage.Store) (*membership, error) {
	var m membership
	ok, err := getJSON(s, keyMembership, &m)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noFederation()
	}
	return &m, nil
}

// saveMembership makes the home a member.
func saveMembership(s *storage.Store, federation cid.Cid, role record.Role, chain []*record.Signed, bootstrap []string) error {
	m := membership{Federation: federation.String(), Role: role, Bootstrap: bootstrap}
	for _, r := range chain {
		m.Chain = append(m.Chain, r.Envelope)
	}
	return putJSON(s, keyMembership, m)
}

// proof opens the chain, and tells when it ends.
func (m *membership) proof() (chain []*record.Signed, expires time.Time, err error) {
	for _, envelope := range m.Chain {
		r, err := record.Open(envelope)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read own certificate: %w", err)
		}
		c, err := record.BodyAs[record.Certificate](r)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read own certificate: %w", err)
		}
		if end := time.Unix(c.Expires, 0); expires.IsZero() || end.Before(expires) {
			expires = end
		}
		chain = append(chain, r)
	}
	return chain, expires, nil
}

// methodName is the one method that this program knows.
const methodName = "ml-ecs"

// genesis is a federation's founding record, read and checked.
type genesis struct {
	*record.Federation
	id     cid.Cid
	method method.Config
}

// codec is the name of the deltas' codec.
func (g *genesis) codec() string {
	name, _, _ := strings.Cut(g.method.Codec, ":")
	return name
}

// knowsTargets tells whether members of a role get the targets of the public rows.
func (g *genesis) knowsTargets(role record.Role) bool {
	return role == record.RoleSuper || g.method.PublicLabels == method.LabelsEdges
}

// loadGenesis reads the genesis record of a federation id.
func loadGenesis(s *storage.Store, id string) (*genesis, error) {
	c, err := cid.Decode(id)
	if err != nil {
		return nil, fmt.Errorf("read federation id %q: %w", id, err)
	}
	r, err := s.Record(c)
	if err != nil {
		return nil, fmt.Errorf("read genesis %s: %w", c, err)
	}
	body, err := record.BodyAs[record.Federation](r)
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	g := &genesis{Federation: body, id: c}
	if body.Method.Name != methodName {
		return nil, api.Advise(fmt.Errorf("federation %q learns by method %q, which this version does not know", body.Name, body.Method.Name), "install a newer mlecs")
	}
	if err := record.Decode(body.Method.Config, &g.method); err != nil {
		return nil, fmt.Errorf("read method of federation %q: %w", body.Name, err)
	}
	if err := g.method.Validate(); err != nil {
		return nil, fmt.Errorf("method of federation %q: %w", body.Name, err)
	}
	if len(body.Data.Modalities) == 0 || !body.Data.Index.CID.Defined() {
		return nil, fmt.Errorf("federation %q has no public data", body.Name)
	}
	if have, want := len(body.Bases.Edge), 1+len(g.method.Families); have != want {
		return nil, fmt.Errorf("federation %q has %d base models for %d families of edges", body.Name, have, want)
	}
	for _, base := range append([]record.Base{body.Bases.Super}, body.Bases.Edge...) {
		if !base.Blob.CID.Defined() {
			return nil, fmt.Errorf("federation %q has no base model %q", body.Name, base.Name)
		}
	}
	return g, nil
}
