package record

import (
	"fmt"
	"math"
	"regexp"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// Limits of what a record may say. They bound memory and keep arithmetic on the values safe; a well-meant federation stays far below.
const (
	MaxParents    = 1024
	MaxComponents = 256
	MaxInputs     = 1024
	MaxBases      = 16 // base models of edges
	MaxModalities = 32
	MaxMetrics    = 256
	MaxRound      = 1_000_000_000
	MaxSteps      = 1_000_000 // optimiser steps of a stage of a round
	MaxName       = 64        // bytes of a name of a node, model, modality, metric, ...
	MaxLongName   = 1024      // bytes of a component name (it lists modalities), a signature, a reason
	MaxBlobBytes  = 1 << 40   // bytes of one blob
	MaxDeadline   = 30 * 24 * 3600 * 1000
	maxSeq        = math.MaxUint64 - 1 // the next one must still be a number
)

var (
	kindPattern     = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	modalityPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`) // no '/' and '+': they join component names
)

// Body is any body type a node acts on.
type Body interface {
	Federation | Certificate | Revocation | Delta | Contribution | Aggregate | Dispute | Policy
}

// checked is what every pointer to a Body is.
type checked interface{ validate(*checker) }

// BodyAs decodes r's body. It is ErrKind if r is of another kind than T, and ErrUnsupported if its version is newer than Version.
func BodyAs[T Body](r *Signed) (*T, error) {
	body := new(T)
	if want := kindOf(body); r.Kind != want {
		return nil, fmt.Errorf("record %s: %w: %q, not %q", r.CID, ErrKind, r.Kind, want)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("record %s: %w: %d, newest known is %d", r.CID, ErrUnsupported, r.Version, Version)
	}
	if err := decodeBody(r.Body, any(body).(checked)); err != nil {
		return nil, fmt.Errorf("record %s: %w", r.CID, err)
	}
	return body, nil
}

// NewBody encodes and checks a body, giving what belongs into Record.Kind and Record.Body.
func NewBody[T Body](body *T) (Kind, []byte, error) {
	kind := kindOf(body)
	var c checker
	any(body).(checked).validate(&c)
	if c.err != nil {
		return "", nil, fmt.Errorf("%s body: %w", kind, c.err)
	}
	b, err := Encode(body)
	if err != nil {
		return "", nil, fmt.Errorf("%s body: %w", kind, err)
	}
	return kind, b, nil
}

func kindOf(body any) Kind {
	switch body.(type) {
	case *Federation:
		return KindFederation
	case *Certificate:
		return KindCertificate
	case *Revocation:
		return KindRevocation
	case *Delta:
		return KindDelta
	case *Contribution:
		return KindContribution
	case *Dispute:
		return KindDispute
	case *Policy:
		return KindPolicy
	default:
		return KindAggregate
	}
}

// checkBody checks the body of a known kind; every other is fine.
func checkBody(kind Kind, b []byte) error {
	var body checked
	switch kind {
	case KindFederation:
		body = new(Federation)
	case KindCertificate:
		body = new(Certificate)
	case KindRevocation:
		body = new(Revocation)
	case KindDelta:
		body = new(Delta)
	case KindContribution:
		body = new(Contribution)
	case KindDispute:
		body = new(Dispute)
	case KindPolicy:
		body = new(Policy)
	case KindAggregate:
		body = new(Aggregate)
	default:
		return nil
	}
	return decodeBody(b, body)
}

func decodeBody(b []byte, body checked) error {
	decode := Decode
	if c, ok := body.(*Certificate); ok {
		decode = func(b []byte, _ any) error { return c.scan(b) }
	}
	if err := decode(b, body); err != nil {
		return fmt.Errorf("%w: body: %w", ErrInvalid, err)
	}
	var c checker
	body.validate(&c)
	return c.err
}

// checker collects the first broken rule.
type checker struct{ err error }

func (c *checker) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
}

// name checks printable UTF-8 of at most limit bytes: names end up in terminals and logs.
func (c *checker) name(what, s string, limit int) {
	if len(s) > limit {
		c.failf("%s is %d bytes long, more than %d", what, len(s), limit)
		return
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			c.failf("%s %q has characters that cannot be printed", what, s)
			return
		}
	}
}

func (c *checker) required(what, s string, limit int) {
	if s == "" {
		c.failf("%s is empty", what)
	}
	c.name(what, s, limit)
}

func (c *checker) count(what string, n, limit int) {
	if n > limit {
		c.failf("%d %s, more than %d", n, what, limit)
	}
}

func (c *checker) within(what string, v, low, high int64) {
	if v < low || v > high {
		c.failf("%s is %d, outside %d to %d", what, v, low, high)
	}
}

func (c *checker) round(v uint64) {
	if v > MaxRound {
		c.failf("round is %d, more than %d", v, MaxRound)
	}
}

func (c *checker) steps(what string, v, low uint64) {
	if v < low || v > MaxSteps {
		c.failf("%s are %d, outside %d to %d", what, v, low, MaxSteps)
	}
}

func (c *checker) number(what string, v, low, high float64) {
	if !(v >= low && v <= high) { // also false for NaN
		c.failf("%s is %v, outside %v to %v", what, v, low, high)
	}
}

// link checks a CIDv1 with sha2-256 and, unless codec is 0, that codec.
func (c *checker) link(what string, id cid.Cid, codec uint64) {
	if !id.Defined() {
		c.failf("%s is missing", what)
		return
	}
	p := id.Prefix()
	if p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != 32 || codec != 0 && p.Codec != codec {
		c.failf("%s %s has another CID version, codec or hash than mlecs uses", what, id)
	}
}

func (c *checker) record(what string, id cid.Cid) { c.link(what, id, cid.DagCBOR) }

func (c *checker) blob(what string, b Blob) {
	c.link(what, b.CID, cid.Raw)
	c.within(what+" bytes", b.Bytes, 0, MaxBlobBytes)
}

// optionalBlob is a blob or Blob{}.
func (c *checker) optionalBlob(what string, b Blob) {
	if b != (Blob{}) {
		c.blob(what, b)
	}
}

// member checks an id that holds an Ed25519 key, the only kind that signs records.
func (c *checker) member(what string, id peer.ID) {
	key, err := id.ExtractPublicKey()
	if err != nil || key.Type() != pb.KeyType_Ed25519 {
		c.failf("%s %s is not the id of an Ed25519 key", what, id)
	}
}

func (c *checker) role(r Role) {
	if r != RoleEdge && r != RoleSuper {
		c.failf("role %q is neither %q nor %q", r, RoleEdge, RoleSuper)
	}
}

func (c *checker) modality(name string) {
	if !modalityPattern.MatchString(name) {
		c.failf("modality name %.80q must be 1 to 64 of A-Z a-z 0-9 _ . -", name)
	}
}

func (c *checker) modalities(names []string) {
	c.count("modalities", len(names), MaxModalities)
	for _, n := range names {
		c.modality(n)
	}
	distinct(c, "modality", names)
}

func (c *checker) metrics(m map[string]float64) {
	c.count("metrics", len(m), MaxMetrics)
	for name, v := range m {
		c.required("metric name", name, MaxName)
		c.number("metric "+name, v, -math.MaxFloat64, math.MaxFloat64)
	}
}

func distinct[K comparable](c *checker, what string, keys []K) {
	seen := make(map[K]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			c.failf("%s %v is there twice", what, k)
			return
		}
		seen[k] = true
	}
}

// validate checks the header, for every kind and version.
func (r *Record) validate() error {
	var c checker
	if r.Version < 1 {
		c.failf("version 0")
	}
	if !kindPattern.MatchString(string(r.Kind)) {
		c.failf("kind %.40q must be 1 to 32 of a-z 0-9 -", r.Kind)
	}
	if r.Kind == KindFederation {
		if r.Federation.Defined() {
			c.failf("a genesis cannot name a federation")
		}
	} else {
		c.record("federation", r.Federation)
	}
	c.member("author", r.Author)
	if r.Seq < 1 || r.Seq > maxSeq {
		c.failf("sequence number %d", r.Seq)
	}
	c.count("parents", len(r.Parents), MaxParents)
	for _, p := range r.Parents {
		c.record("parent", p)
	}
	distinct(&c, "parent", r.Parents)
	return c.err
}
