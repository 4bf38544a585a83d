package p2p

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Membership is everything that is known of a member, present or past, or of an invite that nobody has used.
type Membership struct {
	ID          peer.ID // of an invite: its key's
	Name        string
	Role        record.Role
	Delegate    bool
	Invite      bool // an invite that nobody has used
	Issuer      peer.ID
	Certificate cid.Cid   // the one in force, or the last one
	Since       time.Time // of its first certificate
	Expires     time.Time
	Revoked     time.Time // zero if it was not
	Ended       string    // why it is no member now; empty if it is one
	Retired     bool      // its identity was handed over to another key
	Seen        time.Time // when this node was last connected to it; zero if never
}

// Memberships lists members, present and past, and unused invites of the federation in store, by name and id.
func Memberships(store *storage.Store, federation cid.Cid) ([]Membership, error) {
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	return r.memberships(store), nil
}

// Memberships lists members, present and past, and unused invites, by name and id.
func (n *Network) Memberships() []Membership {
	list := n.roster.memberships(n.store)
	for i := range list {
		if list[i].ID == n.id || n.gate.mutual(list[i].ID) {
			list[i].Seen = n.now()
		}
	}
	return list
}

// rosterOf reads who is a member from a store.
func rosterOf(store *storage.Store, federation cid.Cid) (*roster, error) {
	genesis, err := store.Record(federation)
	if err != nil {
		return nil, fmt.Errorf("genesis of federation %s: %w", federation, err)
	}
	r, err := newRoster(genesis, time.Now)
	if err != nil {
		return nil, err
	}
	return r, r.load(store, slog.New(slog.DiscardHandler))
}

func (r *roster) memberships(store *storage.Store) []Membership {
	r.mu.RLock()
	var list []Membership
	for _, certs := range r.bySubject {
		m := r.membership(r.foremost(certs))
		for _, c := range certs {
			if at := time.UnixMilli(c.signed.Created); at.Before(m.Since) {
				m.Since = at
			}
		}
		list = append(list, m)
	}
	for _, c := range r.known {
		if c.body.Invite && r.taken[c.signed.CID] == nil {
			list = append(list, r.membership(c))
		}
	}
	r.mu.RUnlock()
	for i := range list {
		list[i].Seen = seen(store, list[i].ID)
	}
	slices.SortFunc(list, func(a, b Membership) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return list
}

// foremost is the certificate of one subject that stands and ends last, and without one the one that ended last. Callers hold mu.
func (r *roster) foremost(certs []*certificate) *certificate {
	return slices.MaxFunc(certs, func(a, b *certificate) int {
		stands := func(c *certificate) int {
			if r.stands(c) == nil {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(stands(a), stands(b)), cmp.Compare(a.body.Expires, b.body.Expires), -cmp.Compare(a.signed.CID.KeyString(), b.signed.CID.KeyString()))
	})
}

func (r *roster) membership(c *certificate) Membership {
	m := Membership{
		ID: c.body.Subject, Name: c.body.Name, Role: c.body.Role, Delegate: c.body.Delegate, Invite: c.body.Invite, Issuer: c.signed.Author,
		Certificate: c.signed.CID, Since: time.UnixMilli(c.signed.Created), Expires: c.expires(),
	}
	m.Retired = r.retired[m.ID] != nil
	if err := r.stands(c); err != nil {
		m.Ended = err.Error()
	}
	for link := c; link != nil; link = link.issuer {
		if at, ok := r.revokedAt(link); ok && (m.Revoked.IsZero() || at.Before(m.Revoked)) {
			m.Revoked = at
		}
	}
	return m
}

// seen is when this home last noted a connection to p.
func seen(store *storage.Store, p peer.ID) time.Time {
	var c storedContact
	value, err := store.Get(contactPrefix + p.String())
	if err != nil || json.Unmarshal(value, &c) != nil || c.Seen == 0 {
		return time.Time{}
	}
	return time.Unix(c.Seen, 0)
}

// ErrNoMember says that nobody known has a certificate, or an unused invite, with an id.
var ErrNoMember = errors.New("no member and no unused invite")

// RevokeMember signs and stores what ends p's membership, or an unused invite whose key p is, and returns the records to publish. If p came by
// an invite, the invite is revoked with it: its token could be used again. Whoever p took the place of, or has taken p's, is revoked too.
func RevokeMember(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, p peer.ID, reason string) ([]*record.Signed, error) {
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	var targets []cid.Cid
	line := r.line(p)
	for _, c := range r.known {
		if !slices.Contains(line, c.body.Subject) {
			continue
		}
		for c.heir() {
			c = c.issuer
		}
		if invite := c.invite(); invite != nil {
			c = invite
		}
		if _, done := r.revokedAt(c); !done && !slices.Contains(targets, c.signed.CID) {
			targets = append(targets, c.signed.CID)
		}
	}
	if len(targets) == 0 {
		if len(r.bySubject[p]) > 0 {
			return nil, fmt.Errorf("membership of %s is revoked already", p)
		}
		return nil, fmt.Errorf("%s: %w", p, ErrNoMember)
	}
	slices.SortFunc(targets, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
	var signed []*record.Signed
	for _, id := range targets {
		s, err := Revoke(store, issuer, federation, id, reason)
		if err != nil {
			return signed, err
		}
		signed = append(signed, s)
	}
	return signed, nil
}

// Renew signs and stores a certificate for p that is like its last one and ends at expires, or with the issuer's own. Expired members can be
// renewed, revoked ones cannot.
func Renew(store *storage.Store, issuer crypto.PrivKey, federation cid.Cid, p peer.ID, expires time.Time) (*record.Signed, error) {
	r, err := rosterOf(store, federation)
	if err != nil {
		return nil, err
	}
	if len(r.bySubject[p]) == 0 {
		return nil, fmt.Errorf("renew: %s: %w", p, ErrNoMember)
	}
	m := r.membership(r.foremost(r.bySubject[p]))
	if m.Retired {
		return nil, fmt.Errorf("renew: %s was handed over to another key: renew that one", p)
	}
	if !m.Revoked.IsZero() {
		return nil, fmt.Errorf("renew: membership of %s was revoked on %s: invite it anew, with a new home", p, m.Revoked.UTC().Format(time.RFC3339))
	}
	if expires.Before(m.Expires) {
		return nil, fmt.Errorf("renew: the certificate of %s ends on %s already; give a later end", p, m.Expires.UTC().Format(time.RFC3339))
	}
	return certify(store, issuer, federation, record.Certificate{Subject: p, Name: m.Name, Role: m.Role, Delegate: m.Delegate, Expires: expires.Unix()})
}
