package p2p

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// NewInvite signs an invite certificate with the founder key, stores it, and returns its token, good for one node with that role.
// The membership ends when the invite does, at expires. bootstrap are addresses with /p2p/ID that the new node can dial, best first;
// those beyond the first 32 are left out.
func NewInvite(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, role record.Role, expires time.Time, bootstrap []string) (Token, error) {
	bootstrap = bootstrap[:min(len(bootstrap), maxBootstrap)]
	if err := checkBootstrap(bootstrap); err != nil {
		return Token{}, fmt.Errorf("invite: %w; a node that runs prints its own addresses with `mlecs status`", err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return Token{}, fmt.Errorf("invite: make key: %w", err)
	}
	subject, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return Token{}, fmt.Errorf("invite: %w", err)
	}
	cert, err := issue(store, founder, federation, &record.Certificate{
		Subject: subject, Role: role, Invite: true, Expires: expires.Unix(),
	})
	if err != nil {
		return Token{}, fmt.Errorf("invite: %w", err)
	}
	t := Token{Federation: federation, Bootstrap: bootstrap, Key: key, Certificate: cert.Envelope}
	if t.String() == "" {
		return Token{}, fmt.Errorf("invite: the token would be longer than %d characters; give fewer bootstrap addresses", maxTokenText)
	}
	return t, nil
}

// Certify signs a member certificate for subject with the founder key and stores it (used for the founder's own node).
func Certify(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, subject peer.ID, name string, role record.Role, expires time.Time) (*record.Signed, error) {
	cert, err := issue(store, founder, federation, &record.Certificate{
		Subject: subject, Name: name, Role: role, Expires: expires.Unix(),
	})
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", subject, err)
	}
	return cert, nil
}

// Revoke signs and stores a revocation of a member's certificate or of an invite, with all that came from it. Publish it to put it
// into effect; members not reached get it by sync.
func Revoke(store *storage.Store, founder crypto.PrivKey, federation, certificate cid.Cid, reason string) (*record.Signed, error) {
	s, err := signAsFounder(store, founder, federation, &record.Revocation{Certificate: certificate, Reason: reason})
	if err != nil {
		return nil, fmt.Errorf("revoke %s: %w", certificate, err)
	}
	return s, nil
}

func issue(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, body *record.Certificate) (*record.Signed, error) {
	if !time.Now().Before(time.Unix(body.Expires, 0)) {
		return nil, fmt.Errorf("it would have expired already, on %s", time.Unix(body.Expires, 0).UTC().Format(time.RFC3339))
	}
	return signAsFounder(store, founder, federation, body)
}

// signAsFounder makes the founder's next record.
func signAsFounder[T record.Certificate | record.Revocation](store *storage.Store, founder crypto.PrivKey, federation cid.Cid, body *T) (*record.Signed, error) {
	genesis, err := store.Record(federation)
	if err != nil {
		return nil, fmt.Errorf("genesis of federation %s: %w", federation, err)
	}
	id, err := peer.IDFromPrivateKey(founder)
	if err != nil {
		return nil, fmt.Errorf("founder key: %w", err)
	}
	if id != genesis.Author {
		return nil, fmt.Errorf("the key is of %s, the founder of federation %s is %s", id, federation, genesis.Author)
	}
	seq, err := store.NextSeq(id)
	if err != nil {
		return nil, fmt.Errorf("founder's sequence: %w", err)
	}
	s, err := signBody(founder, federation, seq, []cid.Cid{federation}, time.Now(), body)
	if err != nil {
		return nil, err
	}
	if _, err := store.PutRecord(s); err != nil {
		return nil, fmt.Errorf("store %s: %w", s.Kind, err)
	}
	return s, nil
}

func signBody[T record.Body](key crypto.PrivKey, federation cid.Cid, seq uint64, parents []cid.Cid, created time.Time, body *T) (*record.Signed, error) {
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return nil, err
	}
	return record.Sign(key, record.Record{
		Kind: kind, Federation: federation, Seq: seq, Parents: parents, Created: created.UnixMilli(), Body: encoded,
	})
}
