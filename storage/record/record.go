package record

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	envelope "github.com/libp2p/go-libp2p/core/record"
)

// Errors of Sign, Open, Decode and BodyAs.
var (
	ErrTooLarge     = errors.New("record is larger than 64 KiB")
	ErrSignature    = errors.New("record envelope or signature is invalid")
	ErrNotCanonical = errors.New("not canonical DAG-CBOR")
	ErrInvalid      = errors.New("record breaks a rule of its kind")
	ErrKind         = errors.New("record is of another kind")
	ErrUnsupported  = errors.New("record has a newer version than this program acts on")
)

// Kind says what a record's body is.
type Kind string

// The kinds a node acts on; others are kept and forwarded, never acted on.
const (
	KindFederation   Kind = "federation"
	KindCertificate  Kind = "certificate"
	KindRevocation   Kind = "revocation"
	KindDelta        Kind = "delta"
	KindContribution Kind = "contribution"
	KindAggregate    Kind = "aggregate"
	KindDispute      Kind = "dispute"
	KindPolicy       Kind = "policy"
)

// Membership tells whether records of the kind say who is a member: all others rest on them.
func (k Kind) Membership() bool {
	return k == KindFederation || k == KindCertificate || k == KindRevocation
}

// Version is the record format written here.
const Version = 1

// MaxSize is the largest envelope, in bytes, that Open accepts (one GossipSub message).
const MaxSize = 64 << 10

// The signature covers these beside the payload, so that no signature made for another purpose passes for a record's.
const (
	signatureDomain = "mlecs-record"
	payloadType     = "/mlecs/record"
)

// Record is the signed payload: deterministic DAG-CBOR.
type Record struct {
	Version    uint64    // format version; Sign sets Version
	Kind       Kind      // what Body is: 1 to 32 of a-z, 0-9 and '-'
	Federation cid.Cid   // genesis CID; cid.Undef in the genesis itself
	Author     peer.ID   // must be the envelope's signer
	Seq        uint64    // author's own counter, from 1
	Parents    []cid.Cid // records this one builds on, at most MaxParents
	Created    int64     // author's clock, Unix milliseconds; informative
	Body       []byte    // DAG-CBOR of one of the body types, embedded in the payload as it is
}

// Signed is a verified record with its envelope and id.
type Signed struct {
	Record
	CID      cid.Cid // CIDv1 dag-cbor sha2-256 of the payload bytes
	Envelope []byte  // libp2p signed envelope, as sent on the wire
}

// Round is the round that a delta, a contribution or an aggregate is for; ok is false for other kinds, and for versions newer than Version.
func (r *Record) Round() (round uint64, ok bool) {
	if r.Version != Version || r.Kind != KindDelta && r.Kind != KindContribution && r.Kind != KindAggregate {
		return 0, false
	}
	var body struct {
		Round uint64 `cbor:"round"`
	}
	if looseMode.Unmarshal(r.Body, &body) != nil {
		return 0, false
	}
	return body.Round, true
}

// payload is the encoded form of a Record. Body is raw so that links in it are links of the payload too.
type payload struct {
	Version    uint64          `cbor:"version"`
	Kind       Kind            `cbor:"kind"`
	Federation cid.Cid         `cbor:"federation"`
	Author     peer.ID         `cbor:"author"`
	Seq        uint64          `cbor:"seq"`
	Parents    []cid.Cid       `cbor:"parents"`
	Created    int64           `cbor:"created"`
	Body       cbor.RawMessage `cbor:"body"`
}

// sealed carries payload bytes through the envelope functions of libp2p.
type sealed struct{ payload []byte }

func (*sealed) Domain() string                   { return signatureDomain }
func (*sealed) Codec() []byte                    { return []byte(payloadType) }
func (s *sealed) MarshalRecord() ([]byte, error) { return s.payload, nil }
func (s *sealed) UnmarshalRecord(b []byte) error { s.payload = b; return nil }

// Sign encodes r, sets its version and its author from key (Ed25519), and seals it in an envelope. What Open would refuse, Sign does.
func Sign(key crypto.PrivKey, r Record) (*Signed, error) {
	author, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: author id: %w", r.Kind, err)
	}
	r.Version, r.Author = Version, author
	b, err := Encode(payload{r.Version, r.Kind, r.Federation, r.Author, r.Seq, r.Parents, r.Created, r.Body})
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", r.Kind, err)
	}
	e, err := envelope.Seal(&sealed{b}, key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", r.Kind, err)
	}
	wire, err := e.Marshal()
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", r.Kind, err)
	}
	signed, err := Open(wire)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", r.Kind, err)
	}
	return signed, nil
}

// Open parses and verifies an envelope: size, signature, canonical encoding, author, header, and, for the known kinds of this
// version, the body. It keeps a reference to the bytes. Errors wrap one of ErrTooLarge, ErrSignature, ErrNotCanonical, ErrInvalid.
func Open(wire []byte) (*Signed, error) {
	if len(wire) > MaxSize {
		return nil, fmt.Errorf("open record of %d bytes: %w", len(wire), ErrTooLarge)
	}
	var s sealed
	e, err := envelope.ConsumeTypedEnvelope(wire, &s)
	if err != nil {
		return nil, fmt.Errorf("open record: %w: %w", ErrSignature, err)
	}
	signer, err := envelopeSigner(e, wire)
	if err != nil {
		return nil, err
	}
	r, err := parse(s.payload)
	if err != nil {
		return nil, err
	}
	if r.Author != signer {
		return nil, fmt.Errorf("open record: %w: author is %s, signer %s", ErrSignature, r.Author, signer)
	}
	if r.Version == Version {
		if err := checkBody(r.Kind, r.Body); err != nil {
			return nil, fmt.Errorf("open %s record of %s: %w", r.Kind, r.Author, err)
		}
	}
	return &Signed{Record: r, CID: PayloadCID(s.payload), Envelope: wire}, nil
}

// envelopeSigner checks what the envelope functions leave open: the payload type, the key type, and that the envelope has no other
// spelling, so that all nodes forward the same bytes.
func envelopeSigner(e *envelope.Envelope, wire []byte) (peer.ID, error) {
	if string(e.PayloadType) != payloadType {
		return "", fmt.Errorf("open record: %w: payload type %.40q", ErrSignature, e.PayloadType)
	}
	if e.PublicKey.Type() != pb.KeyType_Ed25519 {
		return "", fmt.Errorf("open record: %w: key type %s, only Ed25519 signs records", ErrSignature, e.PublicKey.Type())
	}
	again, err := e.Marshal()
	if err != nil || !bytes.Equal(again, wire) {
		return "", fmt.Errorf("open record: %w: envelope has another spelling", ErrSignature)
	}
	signer, err := peer.IDFromPublicKey(e.PublicKey)
	if err != nil {
		return "", fmt.Errorf("open record: %w: %w", ErrSignature, err)
	}
	return signer, nil
}

// OpenStored parses an envelope that Open accepted earlier and that has been kept under its id since: it compares the id
// and skips the checks of signature, form and content, which cost far more than parsing.
func OpenStored(id cid.Cid, wire []byte) (*Signed, error) {
	e, err := envelope.UnmarshalEnvelope(wire)
	if err != nil {
		return nil, fmt.Errorf("stored record %s: %w: %w", id, ErrSignature, err)
	}
	if got := PayloadCID(e.RawPayload); got != id {
		return nil, fmt.Errorf("stored record %s: %w: its content has id %s", id, ErrInvalid, got)
	}
	r, err := scanHeader(e.RawPayload)
	if err != nil {
		return nil, fmt.Errorf("stored record %s: %w", id, err)
	}
	return &Signed{Record: r, CID: id, Envelope: wire}, nil
}

// parse decodes payload bytes and checks the header. A newer version may have further fields, but must keep this header.
func parse(b []byte) (Record, error) {
	r, err := scanHeader(b)
	if err == nil {
		err = r.validate()
	}
	if err != nil {
		return Record{}, fmt.Errorf("open record: %w", err)
	}
	return r, nil
}
