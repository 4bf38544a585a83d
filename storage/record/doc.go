// Package record defines what nodes exchange: small, signed, content-addressed statements.
//
// A record is a Record struct encoded as deterministic DAG-CBOR (the payload) inside a libp2p signed envelope. Its id is the CIDv1
// (dag-cbor, sha2-256) of the payload, so it does not depend on the signature bytes. Parents link records into a Merkle DAG; tensors
// and other large bytes live outside, in blobs named by CIDv1 (raw, sha2-256).
//
// Encoding (https://ipld.io/specs/codecs/dag-cbor/spec/): map keys are text, sorted by length and then bytewise, without duplicates;
// integers and lengths are minimal, lengths definite; floats are 64 bit and finite; a CID is tag 42 over 0x00 and the binary CID, and
// cid.Undef is null. A peer.ID is a byte string holding its multihash. Nil slices and maps are written as empty ones. Every
// struct field is always present. One value thus has exactly one encoding, and Decode refuses every other one.
//
// Parts: record.go signs and opens; body.go has the body types, body_validate.go and validate.go their rules; codec.go and transcode.go
// turn Go values into bytes and back; canonical.go checks the form of bytes without knowing their type; scan.go reads headers and
// certificates, of which a start reads many, without the codec.
//
// A record of an unknown kind or a newer version opens as long as its envelope and its header are sound: nodes keep and forward it.
// BodyAs refuses it, so that nothing acts on it.
//
// The package must import neither storage nor anything above it, and does no input or output.
package record
