package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// refusal is why a peer is turned away. The text is told to that peer, so it must say nothing but what the peer's own proof says.
type refusal string

func (r refusal) Error() string { return string(r) }

// tooLate is a refusal of a record whose author was no member any more. Whoever hands it on may not have heard of that yet.
type tooLate string

func (e tooLate) Error() string { return string(e) }
func (e tooLate) Unwrap() error { return refusal(e) }

// errUnknownIssuer marks a certificate whose parent has not been seen here yet, and errUnknownAuthor any other record whose author's
// certificate has not: not wrong, but not acceptable before a sync.
var (
	errUnknownIssuer = errors.New("the certificate that this one rests on is not known here yet")
	errUnknownAuthor = errors.New("author holds no certificate known here")
)

// maxChain is the longest certificate chain: the founder's certificate of an invite, that invite's of a delegate, the delegate's of
// another invite, and that one's of a member, and those of heirs among them.
const maxChain = 4 + maxHeirs

// certificate is one whose signature chain reaches the founder; whether it stands at some time is another question.
type certificate struct {
	signed *record.Signed
	body   *record.Certificate
	issuer *certificate // of whoever signed it: an invite key or a delegate; nil if the founder did
}

func (c *certificate) expires() time.Time { return time.Unix(c.body.Expires, 0) }

// chain gives the records from the founder's to c.
func (c *certificate) chain() []*record.Signed {
	if c.issuer == nil {
		return []*record.Signed{c.signed}
	}
	return append(c.issuer.chain(), c.signed)
}

// invite is the certificate of the invite that c came from, nil if it came from none.
func (c *certificate) invite() *certificate {
	if c.issuer == nil || !c.issuer.body.Invite {
		return nil
	}
	return c.issuer
}

// roster is who is, and was, a member. Nothing leaves it: records of former members must stay verifiable.
type roster struct {
	federation cid.Cid
	founder    peer.ID
	now        func() time.Time

	mu        sync.RWMutex
	known     map[cid.Cid]*certificate
	bySubject map[peer.ID][]*certificate // members' certificates only, in order of arrival
	taken     map[cid.Cid]*certificate   // by invite: the member certificate that was accepted first
	revoked   map[cid.Cid][]revocation   // by certificate
	retired   map[peer.ID]*succession    // identities that were handed over
}

func newRoster(genesis *record.Signed, now func() time.Time) (*roster, error) {
	body, err := record.BodyAs[record.Federation](genesis)
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	if genesis.Author != body.Founder {
		return nil, fmt.Errorf("genesis %s is signed by %s and names %s as founder", genesis.CID, genesis.Author, body.Founder)
	}
	return &roster{
		federation: genesis.CID,
		founder:    body.Founder,
		now:        now,
		known:      make(map[cid.Cid]*certificate),
		bySubject:  make(map[peer.ID][]*certificate),
		taken:      make(map[cid.Cid]*certificate),
		revoked:    make(map[cid.Cid][]revocation),
		retired:    make(map[peer.ID]*succession),
	}, nil
}

// load takes the certificates and revocations in the store. One that does not fit is left out with a warning: the store can be older than
// a rule.
func (r *roster) load(store *storage.Store, log *slog.Logger) error {
	var waiting []*record.Signed // for what they rest on
	for s, err := range store.Records(record.KindCertificate) {
		if err != nil {
			return fmt.Errorf("read certificates: %w", err)
		}
		if s.Author != r.founder {
			waiting = append(waiting, s)
			continue
		}
		if err := r.add(s); err != nil {
			log.Warn("stored certificate left out", "record", s.CID, "reason", err)
		}
	}
	for range maxChain {
		waiting = slices.DeleteFunc(waiting, func(s *record.Signed) bool { return r.add(s) == nil })
	}
	for _, s := range waiting {
		log.Warn("stored certificate left out", "record", s.CID, "reason", r.add(s))
	}
	for s, err := range store.Records(record.KindRevocation) {
		if err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		if err := r.revoke(s); err != nil {
			log.Warn("stored revocation left out", "record", s.CID, "reason", err)
		}
	}
	return nil
}

// parse checks that s is a certificate of this federation whose chain reaches the founder; issuer finds the certificate that it rests on.
// Expiry and revocation are not looked at.
func (r *roster) parse(s *record.Signed, issuer func(cid.Cid) *certificate) (*certificate, error) {
	if !s.Federation.Equals(r.federation) {
		return nil, refusal("certificate belongs to another federation")
	}
	body, err := record.BodyAs[record.Certificate](s)
	if err != nil {
		return nil, refusal("certificate cannot be read: " + err.Error())
	}
	c := &certificate{signed: s, body: body}
	if s.Author == r.founder {
		if c.heir() {
			return nil, refusal("the founder's key has no heir")
		}
		return c, nil
	}
	if len(s.Parents) != 1 {
		return nil, refusal("certificate is not signed by the federation's founder")
	}
	c.issuer = issuer(s.Parents[0])
	if c.issuer == nil {
		return nil, errUnknownIssuer
	}
	if c.heir() {
		return c, r.checkHeir(c)
	}
	from := c.issuer.body
	switch {
	case !from.Invite && !from.Delegate, from.Subject != s.Author:
		return nil, refusal("certificate is not signed by the invite it names")
	case body.Expires > from.Expires:
		return nil, refusal("certificate outlives its invite")
	case !from.Invite && body.Delegate:
		return nil, refusal("a delegate cannot appoint delegates")
	case !from.Invite:
		return c, nil
	case s.Seq != 1:
		return nil, refusal("an invite signs one certificate, with sequence number 1")
	case body.Invite:
		return nil, refusal("an invite cannot issue further invites")
	case body.Role != from.Role:
		return nil, refusal(fmt.Sprintf("certificate claims role %s, the invite is for %s", body.Role, from.Role))
	case body.Delegate && !from.Delegate:
		return nil, refusal("certificate is a delegate's, the invite is for a plain member")
	}
	return c, nil
}

// verify checks the chain that subject presents, founder's certificate first, as of now. It stores nothing.
func (r *roster) verify(chain []*record.Signed, subject peer.ID) (*certificate, error) {
	if len(chain) == 0 {
		return nil, refusal("no certificate presented")
	}
	if len(chain) > maxChain {
		return nil, refusal(fmt.Sprintf("certificate chain of %d records, at most %d are allowed", len(chain), maxChain))
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var last *certificate
	for _, s := range chain {
		c, err := r.parse(s, func(id cid.Cid) *certificate {
			if last != nil && last.signed.CID.Equals(id) {
				return last
			}
			return nil // a chain presented must be whole
		})
		if errors.Is(err, errUnknownIssuer) {
			return nil, refusal("certificate is not signed by the federation's founder")
		}
		if err != nil {
			return nil, err
		}
		last = c
	}
	if last.body.Invite || last.body.Subject != subject {
		return nil, refusal("certificate is for another peer")
	}
	return last, r.stands(last)
}

// stands tells why c is no membership at this moment, or nil. Callers hold mu.
func (r *roster) stands(c *certificate) error {
	if err := r.handedOn(c); err != nil {
		return err
	}
	for link := c; link != nil; link = link.issuer {
		if at, ok := r.revokedAt(link); ok {
			return refusal("certificate revoked on " + at.UTC().Format(time.RFC3339))
		}
		if !r.now().Before(link.expires()) {
			return refusal("certificate expired on " + link.expires().UTC().Format(time.RFC3339))
		}
		if invite := link.invite(); invite != nil {
			if first := r.taken[invite.signed.CID]; first != nil && first.body.Subject != link.body.Subject {
				return refusal("invite was already used by another peer")
			}
		}
	}
	return nil
}

func lower(a, b *certificate) bool {
	return bytes.Compare(a.signed.CID.Bytes(), b.signed.CID.Bytes()) < 0
}

// check tells whether add would take the certificate s.
func (r *roster) check(s *record.Signed) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, err := r.parse(s, func(id cid.Cid) *certificate { return r.known[id] })
	return err
}

// add takes a certificate, current or not; taking it twice is fine.
func (r *roster) add(s *record.Signed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[s.CID] != nil {
		return nil
	}
	c, err := r.parse(s, func(id cid.Cid) *certificate { return r.known[id] })
	if err != nil {
		return err
	}
	r.known[s.CID] = c
	if c.body.Invite {
		return nil
	}
	r.bySubject[c.body.Subject] = append(r.bySubject[c.body.Subject], c)
	if c.heir() {
		r.succeed(c)
	}
	if invite := c.invite(); invite != nil && r.taken[invite.signed.CID] == nil {
		r.taken[invite.signed.CID] = c
	}
	return nil
}

// renews tells whether s may be kept beside other, a record under the same sequence number: a peer whose join was interrupted signs its
// certificate with the invite again. For another peer the invite is used up. That an identity was handed over all must know, whatever else
// its key has signed.
func (r *roster) renews(s, other *record.Signed) bool {
	if s.Author == r.founder || s.Kind != record.KindCertificate {
		return false
	}
	a, err := record.BodyAs[record.Certificate](s)
	if err != nil {
		return false
	}
	if len(a.Heir) > 0 {
		return true
	}
	if !r.byInvite(s) {
		return false
	}
	b, err := record.BodyAs[record.Certificate](other)
	return err == nil && a.Subject == b.Subject
}

// byInvite tells whether a certificate rests on that of an invite.
func (r *roster) byInvite(s *record.Signed) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(s.Parents) == 1 && r.known[s.Parents[0]] != nil && r.known[s.Parents[0]].body.Invite
}

// revocation is one that somebody has signed who may revoke the certificate.
type revocation struct {
	by  peer.ID
	seq uint64
	at  time.Time
}

// mayRevoke tells whether revoke would take s: by the founder, who may revoke what is not known yet, or by a delegate, or an heir of one, of what
// came from it. Callers hold mu.
func (r *roster) mayRevoke(s *record.Signed, body *record.Revocation) error {
	if s.Author == r.founder {
		return nil
	}
	c := r.known[body.Certificate]
	if c == nil || len(r.bySubject[s.Author]) == 0 {
		return errUnknownIssuer
	}
	if r.delegateAbove(c, s.Author) == nil {
		return refusal("revocation is not signed by the federation's founder, nor by the delegate that the certificate came from")
	}
	return nil
}

// delegateAbove is the certificate of the delegate that c came from and that p is, or is an heir of; nil if there is none. Callers hold mu.
func (r *roster) delegateAbove(c *certificate, p peer.ID) *certificate {
	for link := c.issuer; link != nil; link = link.issuer {
		if link.body.Delegate && !link.body.Invite && (link.body.Subject == p || r.descends(p, link.body.Subject)) {
			return link
		}
	}
	return nil
}

// revokedAt is when c was revoked, the earliest if several times. A delegate's revocation counts if it was a delegate then. Callers hold mu.
func (r *roster) revokedAt(c *certificate) (earliest time.Time, ok bool) {
	for _, v := range r.revoked[c.signed.CID] {
		if v.by != r.founder {
			link := r.delegateAbove(c, v.by)
			s := r.retired[v.by]
			if link == nil || s != nil && v.seq >= s.first || r.stood(link, v.at) != nil {
				continue
			}
		}
		if !ok || v.at.Before(earliest) {
			earliest, ok = v.at, true
		}
	}
	return earliest, ok
}

// checkRevocation tells whether revoke would take s.
func (r *roster) checkRevocation(s *record.Signed) error {
	body, err := record.BodyAs[record.Revocation](s)
	if err != nil {
		return err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.mayRevoke(s, body)
}

// revoke takes a revocation.
func (r *roster) revoke(s *record.Signed) error {
	body, err := record.BodyAs[record.Revocation](s)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.mayRevoke(s, body); err != nil {
		return err
	}
	v := revocation{s.Author, s.Seq, time.UnixMilli(s.Created)}
	if !slices.Contains(r.revoked[body.Certificate], v) {
		r.revoked[body.Certificate] = append(r.revoked[body.Certificate], v)
	}
	return nil
}

// member gives p's certificate that stands now and ends last; without one, err says why the newest does not stand.
func (r *roster) member(p peer.ID) (*certificate, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var best *certificate
	err := error(refusal("no certificate presented"))
	for _, c := range r.bySubject[p] {
		if e := r.stands(c); e != nil {
			err = e
			continue
		}
		if best == nil || c.body.Expires > best.body.Expires || c.body.Expires == best.body.Expires && lower(c, best) {
			best = c
		}
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}

// delegate gives p's certificate as a delegate that stands now and ends last, nil if it has none.
func (r *roster) delegate(p peer.ID) *certificate {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var best *certificate
	for _, c := range r.bySubject[p] {
		if c.body.Delegate && r.stands(c) == nil && (best == nil || c.body.Expires > best.body.Expires) {
			best = c
		}
	}
	return best
}

// former tells whether p was a member and is none now. For a peer never heard of it is false.
func (r *roster) former(p peer.ID) bool {
	if _, err := r.member(p); err == nil {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.bySubject[p]) > 0
}

// members gives one certificate that stands for every member, in order of peer id.
func (r *roster) members() []*certificate {
	r.mu.RLock()
	subjects := make([]peer.ID, 0, len(r.bySubject))
	for p := range r.bySubject {
		subjects = append(subjects, p)
	}
	r.mu.RUnlock()
	slices.Sort(subjects)
	certs := make([]*certificate, 0, len(subjects))
	for _, p := range subjects {
		if c, err := r.member(p); err == nil {
			certs = append(certs, c)
		}
	}
	return certs
}

// authorise tells whether its author may have written s: some certificate of it must have stood then and have the role. It looks at the time of
// writing, not at now, because a node that syncs late must accept what the others accepted.
func (r *roster) authorise(s *record.Record) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	certs := r.bySubject[s.Author]
	if len(certs) == 0 {
		return errUnknownAuthor
	}
	if over := r.retired[s.Author]; over != nil && s.Seq >= over.last {
		return tooLate("record was written after its author's identity was handed over")
	}
	var err error
	for _, c := range certs {
		if err = r.stood(c, time.UnixMilli(s.Created)); err != nil {
			continue
		}
		if !bySupers(s.Kind) || c.body.Role == record.RoleSuper {
			return nil
		}
		err = refusal(fmt.Sprintf("role %s may not publish records of kind %s", c.body.Role, s.Kind))
	}
	return err
}

// byMembers tells whether records of kind are a member's, not the founder's.
func byMembers(kind record.Kind) bool {
	return kind == record.KindDelta || kind == record.KindDispute || bySupers(kind)
}

// bySupers tells whether only super-peers may write records of kind.
func bySupers(kind record.Kind) bool {
	return kind == record.KindAggregate || kind == record.KindContribution
}

func (r *roster) stood(c *certificate, at time.Time) error {
	for link := c; link != nil; link = link.issuer {
		if end, ok := r.revokedAt(link); ok && !at.Before(end) {
			return tooLate("record was written after its author's certificate was revoked")
		}
		if !at.Before(link.expires()) {
			return tooLate("record was written after its author's certificate had expired")
		}
	}
	return nil
}
