package p2p

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// A member changes its key by a certificate that the old key signs, and the new one in its field Heir: the subject takes the signer's place, with
// the same name and role and until no later. What follows from such certificates depends on their set alone, not on the order in which a node
// hears of them:
//
//   - an identity that has signed one is retired: no member, whatever other certificates it has;
//   - if all that it signed name one heir, that is the member; if they name several, the key is in two hands and none of them is;
//   - of the certificates and revocations that it issued as a delegate, those numbered before the first of them count, and of its other records
//     those before the last.
//
// A member that presents an heir's chain when another heir is known is refused and its chain not kept, so that a key stolen long ago is of no use
// among members that have heard of the rotation. A certificate that the founder or a delegate issues to an heir itself, as by renewal, rests on
// none of this.

// maxHeirs is how often a membership is handed on before it has to be renewed, which makes its chain short again.
const maxHeirs = 4

// succession is what an identity has signed away.
type succession struct {
	heir        peer.ID
	split       bool   // there is another heir
	first, last uint64 // sequence numbers of the certificates that say so
}

// consent is what a new key signs to take an identity's place.
func consent(federation, certificate cid.Cid, from, to peer.ID) []byte {
	return slices.Concat([]byte("mlecs heir\n"), federation.Bytes(), certificate.Bytes(), []byte(from), []byte(to))
}

// checkHeir tells whether a certificate may hand on the membership that it rests on.
func (r *roster) checkHeir(c *certificate) error {
	from, body := c.issuer.body, c.body
	switch {
	case from.Invite, from.Subject != c.signed.Author:
		return refusal("certificate is not signed by the member that it takes the place of")
	case body.Subject == from.Subject, body.Role != from.Role, body.Delegate != from.Delegate, body.Name != from.Name:
		return refusal("certificate of an heir says something else than the one before it")
	case body.Expires > from.Expires:
		return refusal("certificate outlives the one that it takes the place of")
	}
	heirs := 0
	for link := c; link != nil; link = link.issuer {
		if link.heir() {
			heirs++
		}
	}
	if heirs > maxHeirs {
		return refusal(fmt.Sprintf("membership was handed on more than %d times without being renewed", maxHeirs))
	}
	key, err := body.Subject.ExtractPublicKey()
	if err != nil {
		return refusal("certificate of an heir: " + err.Error())
	}
	if ok, err := key.Verify(consent(r.federation, c.issuer.signed.CID, from.Subject, body.Subject), body.Heir); err != nil || !ok {
		return refusal("certificate is not signed by the key that it names as heir")
	}
	return nil
}

// heir tells whether c takes the place of the one before it.
func (c *certificate) heir() bool { return len(c.body.Heir) > 0 }

// succeed notes that an identity is handed on. Callers hold mu.
func (r *roster) succeed(c *certificate) {
	seq := c.signed.Seq
	s := r.retired[c.signed.Author]
	if s == nil {
		s = &succession{heir: c.body.Subject, first: seq}
		r.retired[c.signed.Author] = s
	}
	s.split = s.split || s.heir != c.body.Subject
	s.first, s.last = min(s.first, seq), max(s.last, seq)
}

// handedOn tells why c is no membership for what identities have signed away, or nil. Callers hold mu.
func (r *roster) handedOn(c *certificate) error {
	if r.retired[c.body.Subject] != nil {
		return refusal("identity was handed over to another key")
	}
	for link := c; link.issuer != nil; link = link.issuer {
		s := r.retired[link.signed.Author]
		switch {
		case s == nil:
		case link.heir() && (s.split || s.heir != link.body.Subject):
			return refusal("identity was handed over to several keys: ask the federation's founder to renew one of them")
		case !link.heir() && link.signed.Seq >= s.first:
			return refusal("certificate was signed after its issuer's identity was handed over")
		}
	}
	return nil
}

// descends tells whether heir took the place of old, itself or through others. Callers hold mu.
func (r *roster) descends(heir, old peer.ID) bool {
	for _, c := range r.bySubject[heir] {
		for ; c.heir(); c = c.issuer {
			if c.signed.Author == old {
				return true
			}
		}
	}
	return false
}

// line are all identities of which p is an heir or that are heirs of p, and p. Callers hold mu.
func (r *roster) line(p peer.ID) []peer.ID {
	all := []peer.ID{p}
	for other := range r.bySubject {
		if other != p && (r.descends(other, p) || r.descends(p, other)) {
			all = append(all, other)
		}
	}
	return all
}

// successor is who has taken p's place, if anybody has and is a member.
func (r *roster) successor(p peer.ID) (peer.ID, bool) {
	r.mu.RLock()
	at := p
	for range maxHeirs {
		if s := r.retired[at]; s != nil && !s.split {
			at = s.heir
		}
	}
	r.mu.RUnlock()
	if at == p {
		return "", false
	}
	_, err := r.member(at)
	return at, err == nil
}

// news tells whether s hands an identity over in a way that is not known here. There are two such of an identity at most, which no quota holds back.
func (r *roster) news(s *record.Signed) bool {
	if s.Kind != record.KindCertificate {
		return false
	}
	body, err := record.BodyAs[record.Certificate](s)
	if err != nil || len(body.Heir) == 0 {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.retired[s.Author]
	return known == nil || !known.split && known.heir != body.Subject
}

// handedOver tells whether p has handed its identity over.
func (r *roster) handedOver(p peer.ID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.retired[p] != nil
}

// inherit gives an heir what is known of the identity that it replaces: where it can be reached, what it did wrong and what it used of its quotas.
func (n *Network) inherit(s *record.Signed) {
	if body, err := record.BodyAs[record.Certificate](s); err == nil && len(body.Heir) > 0 {
		n.conduct.inherit(s.Author, body.Subject)
		if to, ok := n.roster.successor(s.Author); ok {
			n.contacts.succeed(s.Author, to)
		}
	}
}

// HandOver signs and stores the certificate by which the identity old gives its membership to that of next, and returns it. Nothing is told to
// other members before it is published. Once it is stored, old is no member for this store either.
func HandOver(store *storage.Store, old, next crypto.PrivKey, federation cid.Cid) (*record.Signed, error) {
	s, err := handOver(store, old, next, federation)
	if err != nil {
		return nil, fmt.Errorf("hand over: %w", err)
	}
	return s, nil
}

func handOver(store *storage.Store, old, next crypto.PrivKey, federation cid.Cid) (*record.Signed, error) {
	from, err := peer.IDFromPrivateKey(old)
	if err != nil {
		return nil, err
	}
	to, err := peer.IDFromPrivateKey(next)
	if err != nil {
		return nil, err
	}
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	if from == r.founder {
		return nil, errors.New("this is the founder's key, which the federation is named for; it cannot be replaced")
	}
	c, err := r.member(from)
	if err != nil {
		return nil, fmt.Errorf("%s is no member: %w", from, err)
	}
	seq, err := store.NextSeq(from)
	if err != nil {
		return nil, err
	}
	signature, err := next.Sign(consent(federation, c.signed.CID, from, to))
	if err != nil {
		return nil, err
	}
	s, err := signBody(old, federation, seq, []cid.Cid{c.signed.CID}, r.now(), &record.Certificate{
		Subject: to, Name: c.body.Name, Role: c.body.Role, Delegate: c.body.Delegate, Heir: signature, Expires: c.body.Expires,
	})
	if err != nil {
		return nil, err
	}
	if err := r.check(s); err != nil {
		return nil, err
	}
	_, err = store.PutRecord(s)
	return s, err
}

// Proof is the certificate chain that makes p a member as of now, founder's first, as far as store knows.
func Proof(store *storage.Store, federation cid.Cid, p peer.ID) ([]*record.Signed, error) {
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	c, err := r.member(p)
	if err != nil {
		return nil, fmt.Errorf("%s is no member: %w", p, err)
	}
	return c.chain(), nil
}

// Heirs are the identities that the one in store has been handed over to: none, one, or several if the key was in several hands.
func Heirs(store *storage.Store, federation cid.Cid, p peer.ID) ([]peer.ID, error) {
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	var heirs []peer.ID
	for _, c := range r.known {
		if c.heir() && c.signed.Author == p && !slices.Contains(heirs, c.body.Subject) {
			heirs = append(heirs, c.body.Subject)
		}
	}
	slices.Sort(heirs)
	return heirs, nil
}
