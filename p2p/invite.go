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

// NewInvite signs an invite certificate with the founder's or a delegate's key, stores it, and returns its token, good for one node with
// that role. The membership ends when the invite does, at expires, or when the delegate's own does. bootstrap are addresses with /p2p/ID that the new node can dial, best first;
// those beyond the first 32 are left out.
func NewInvite(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, role record.Role, expires time.Time, bootstrap []string) (Token, error) {
	return newInvite(store, issuer, federation, record.Certificate{Role: role, Expires: expires.Unix()}, bootstrap)
}

// NewDelegateInvite is NewInvite for a super-peer that may itself invite; only the founder's key signs it.
func NewDelegateInvite(store *storage.Store, founder crypto.PrivKey, federation cid.Cid, expires time.Time, bootstrap []string) (Token, error) {
	return newInvite(store, founder, federation, record.Certificate{Role: record.RoleSuper, Delegate: true, Expires: expires.Unix()}, bootstrap)
}

func newInvite(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, terms record.Certificate, bootstrap []string) (Token, error) {
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
	terms.Subject, terms.Invite = subject, true
	cert, err := issue(store, issuer, federation, &terms)
	if err != nil {
		return Token{}, fmt.Errorf("invite: %w", err)
	}
	issuers, err := issuersOf(store, issuer, federation)
	if err != nil {
		return Token{}, fmt.Errorf("invite: %w", err)
	}
	t := Token{Federation: federation, Bootstrap: bootstrap, Key: key, Certificate: cert.Envelope, Issuers: issuers}
	if t.String() == "" {
		return Token{}, fmt.Errorf("invite: the token would be longer than %d characters; give fewer bootstrap addresses", maxTokenText)
	}
	return t, nil
}

// Certify signs a member certificate for subject with the founder's or a delegate's key and stores it: for the founder's own node, and to
// renew a membership.
func Certify(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, subject peer.ID, name string, role record.Role, expires time.Time) (*record.Signed, error) {
	return certify(store, issuer, federation, record.Certificate{Subject: subject, Name: name, Role: role, Expires: expires.Unix()})
}

func certify(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, terms record.Certificate) (*record.Signed, error) {
	cert, err := issue(store, issuer, federation, &terms)
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", terms.Subject, err)
	}
	return cert, nil
}

// Revoke signs and stores a revocation of a member's certificate or of an invite, with all that came from it. The key is the founder's, or
// that of the delegate that it came from. Publish it to put it into effect; members not reached get it by sync.
func Revoke(store *storage.Store, issuer crypto.PrivKey, federation, certificate cid.Cid, reason string) (*record.Signed, error) {
	a, err := authorityOf(store, issuer, federation)
	if err != nil {
		return nil, fmt.Errorf("revoke %s: %w", certificate, err)
	}
	s, err := a.sign(store, func(seq uint64, parents []cid.Cid) (*record.Signed, error) {
		return signBody(issuer, federation, seq, parents, time.Now(), &record.Revocation{Certificate: certificate, Reason: reason})
	})
	if err != nil {
		return nil, fmt.Errorf("revoke %s: %w", certificate, err)
	}
	return s, nil
}

func issue(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, body *record.Certificate) (*record.Signed, error) {
	a, err := authorityOf(store, issuer, federation)
	if err != nil {
		return nil, err
	}
	if a.delegate != nil {
		body.Expires = min(body.Expires, a.delegate.body.Expires)
	}
	if !time.Now().Before(time.Unix(body.Expires, 0)) {
		return nil, fmt.Errorf("it would have expired already, on %s", time.Unix(body.Expires, 0).UTC().Format(time.RFC3339))
	}
	return a.sign(store, func(seq uint64, parents []cid.Cid) (*record.Signed, error) {
		return signBody(issuer, federation, seq, parents, time.Now(), body)
	})
}

// issuersOf are the certificates that what key issues rests on.
func issuersOf(store *storage.Store, key crypto.PrivKey, federation cid.Cid) ([][]byte, error) {
	a, err := authorityOf(store, key, federation)
	if err != nil || a.delegate == nil {
		return nil, err
	}
	return envelopes(a.delegate.chain()), nil
}

// authority is a key that may issue certificates: the founder's, or a delegate's.
type authority struct {
	id       peer.ID
	roster   *roster
	delegate *certificate // nil for the founder
}

func authorityOf(store *storage.Store, key crypto.PrivKey, federation cid.Cid) (*authority, error) {
	a := &authority{}
	var err error
	if a.id, err = peer.IDFromPrivateKey(key); err != nil {
		return nil, fmt.Errorf("key of the issuer: %w", err)
	}
	if a.roster, err = rosterOf(store, federation); err != nil {
		return nil, err
	}
	if a.id == a.roster.founder {
		return a, nil
	}
	if a.delegate = a.roster.delegate(a.id); a.delegate == nil {
		return nil, fmt.Errorf("the key is of %s, who is no delegate; the founder of federation %s is %s", a.id, federation, a.roster.founder)
	}
	return a, nil
}

// sign makes and stores the authority's next record, if members would take it.
func (a *authority) sign(store *storage.Store, make func(seq uint64, parents []cid.Cid) (*record.Signed, error)) (*record.Signed, error) {
	seq, err := store.NextSeq(a.id)
	if err != nil {
		return nil, fmt.Errorf("sequence of %s: %w", a.id, err)
	}
	parent := a.roster.federation
	if a.delegate != nil {
		parent = a.delegate.signed.CID
	}
	s, err := make(seq, []cid.Cid{parent})
	if err != nil {
		return nil, err
	}
	if s.Kind == record.KindCertificate {
		err = a.roster.check(s)
	} else {
		err = a.roster.checkRevocation(s)
	}
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
