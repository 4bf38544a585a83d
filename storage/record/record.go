package record

import (
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Kind says what a record's body is.
type Kind string

// The kinds a node acts on; others are kept and forwarded, never acted on.
const (
	KindFederation  Kind = "federation"
	KindCertificate Kind = "certificate"
	KindRevocation  Kind = "revocation"
	KindDelta       Kind = "delta"
	KindAggregate   Kind = "aggregate"
)

// Version is the record format written here.
const Version = 1

// MaxSize is the largest envelope, in bytes, that Open accepts (one GossipSub message).
const MaxSize = 64 << 10

// Record is the signed payload: deterministic DAG-CBOR.
type Record struct {
	Version    uint64    // format version
	Kind       Kind      //
	Federation cid.Cid   // genesis CID; cid.Undef in the genesis itself
	Author     peer.ID   // must be the envelope's signer
	Seq        uint64    // author's own counter, from 1
	Parents    []cid.Cid // records this one builds on
	Created    int64     // author's clock, Unix milliseconds; informative
	Body       []byte    // DAG-CBOR of one of the body types
}

// Signed is a verified record with its envelope and id.
type Signed struct {
	Record
	CID      cid.Cid // CIDv1 dag-cbor sha2-256 of the payload bytes
	Envelope []byte  // libp2p signed envelope, as sent on the wire
}

// Sign encodes r, sets its author from key, and seals it in an envelope.
func Sign(key crypto.PrivKey, r Record) (*Signed, error) { panic("stub") }

// Open parses and verifies an envelope: size, signature, canonical encoding, author.
func Open(envelope []byte) (*Signed, error) { panic("stub") }

// Encode gives the deterministic DAG-CBOR of v; Decode is strict (unknown fields, duplicate keys, non-canonical bytes are errors).
func Encode(v any) ([]byte, error) { panic("stub") }

// Decode reads DAG-CBOR into v.
func Decode(b []byte, v any) error { panic("stub") }

// BlobCID is the CIDv1 (raw, sha2-256) of blob bytes.
func BlobCID(b []byte) cid.Cid { panic("stub") }
