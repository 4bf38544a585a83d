// Package p2p connects the members of one federation: libp2p host, discovery, membership gate, gossip of
// records, blob transfer and record sync. It imports storage and never learn.
package p2p

import (
	"context"
	"log/slog"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Config is the network part of a node's config.
type Config struct {
	Listen    []string `yaml:"listen"`    // multiaddrs; default /ip4/0.0.0.0/tcp/0 and .../udp/0/quic-v1
	Announce  []string `yaml:"announce"`  // multiaddrs told to others in place of the observed ones
	Bootstrap []string `yaml:"bootstrap"` // multiaddrs with /p2p/ID, dialled at start and whenever no peer is left
	MDNS      bool     `yaml:"mdns"`
}

// DefaultConfig is a LAN node.
func DefaultConfig() Config      { panic("stub") }
func (c Config) Validate() error { panic("stub") }

// Deps are what a Network stands on.
type Deps struct {
	Key        crypto.PrivKey // identity
	Store      *storage.Store
	Federation cid.Cid          // genesis CID; the genesis record is in Store, or is fetched by Join
	Proof      []*record.Signed // this peer's certificate chain, founder's first
	Log        *slog.Logger
}

// Network is this node's place in the federation. Safe for concurrent use.
type Network struct{}

// New opens the host (listening) but talks to nobody until Serve.
func New(cfg Config, deps Deps) (*Network, error) { panic("stub") }

// Serve runs discovery, gossip and sync until ctx ends, then closes the host.
func (n *Network) Serve(ctx context.Context) error { panic("stub") }

// Publish stores r and gossips it.
func (n *Network) Publish(ctx context.Context, r *record.Signed) error { panic("stub") }

// Subscribe calls f, in one goroutine, in order, for every record newly accepted from now on (own ones too). cancel ends it.
func (n *Network) Subscribe(f func(*record.Signed)) (cancel func()) { panic("stub") }

// FetchBlob brings a blob into the store: forwarder of the record first (if known), then other members, resumed and
// verified; progress may be nil. It returns when the blob is stored, ctx ends, or every member in reach failed.
func (n *Network) FetchBlob(ctx context.Context, b record.Blob, hint []peer.ID, progress func(done, total int64)) error {
	panic("stub")
}

// Genesis returns the federation's genesis body.
func (n *Network) Genesis() (*record.Federation, error) { panic("stub") }

// Member tells role and expiry of a member known by certificate; ok is false for strangers and the expired.
func (n *Network) Member(p peer.ID) (m Member, ok bool) { panic("stub") }

// Members are all with a valid certificate, connected or not.
func (n *Network) Members() []Member { panic("stub") }

// Member is one certificate holder.
type Member struct {
	ID          peer.ID
	Name        string
	Role        record.Role
	Expires     time.Time
	Certificate cid.Cid
	Connected   bool
}

// Peer is one connected peer.
type Peer struct {
	ID       peer.ID
	Name     string
	Role     record.Role // empty until membership is proved
	Addr     string
	Since    time.Time
	RTT      time.Duration
	Sent     int64 // bytes
	Received int64
	InMesh   bool
}

func (n *Network) Peers() []Peer   { panic("stub") }
func (n *Network) ID() peer.ID     { panic("stub") }
func (n *Network) Addrs() []string { panic("stub") } // full multiaddrs with /p2p/ID

// Traffic counts bytes on the wire and what was refused, since New.
type Traffic struct {
	Sent, Received  int64
	ByProtocol      map[string][2]int64 // sent, received
	RejectedRecords int64
	RejectedBlobs   int64
	RefusedPeers    int64
}

func (n *Network) Traffic() Traffic { panic("stub") }

// Join proves the invite to one of the token's bootstrap peers, stores genesis and certificates in store, and returns the
// chain that makes key's peer a member. Blobs are fetched afterwards with FetchBlob.
func Join(ctx context.Context, key crypto.PrivKey, name string, store *storage.Store, t Token, log *slog.Logger) ([]*record.Signed, error) {
	panic("stub")
}

// Token is what `mlecs invite` prints: federation id, bootstrap addresses, the invite key and the founder's certificate for it.
type Token struct {
	Federation  cid.Cid
	Bootstrap   []string
	Key         crypto.PrivKey // invite key: a bearer secret
	Certificate []byte         // envelope
}

func (t Token) String() string           { panic("stub") } // "mlecs1..." base32/58 text
func ParseToken(s string) (Token, error) { panic("stub") }

// NewInvite signs an invite certificate with the founder key, stores it, and returns its token.
func NewInvite(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, role record.Role, expires time.Time, bootstrap []string) (Token, error) {
	panic("stub")
}

// Certify signs a member certificate for subject with the founder key and stores it (used for the founder's own node).
func Certify(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, subject peer.ID, name string, role record.Role, expires time.Time) (*record.Signed, error) {
	panic("stub")
}
