package p2p

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// ErrClosed is returned by calls on a Network that has been closed.
var ErrClosed = errors.New("network is closed")

// errConflict marks a second record under a sequence number: its author is at fault, not the peer that forwarded it.
var errConflict = errors.New("author has signed another record with the same sequence number")

// acceptEnvelope opens what a peer sent and accepts it. What breaks a rule is counted and logged.
func (n *Network) acceptEnvelope(envelope []byte, from peer.ID) (s *record.Signed, added bool, err error) {
	s, err = record.Open(envelope)
	if err != nil {
		err = refusal(err.Error())
		n.reject(from, cid.Undef, "", err)
		return nil, false, err
	}
	refund, err := n.withinQuota(s, from)
	if err != nil {
		return s, false, err
	}
	added, err = n.accept(s, from)
	if err != nil && !isRecords(err) {
		refund()
	}
	return s, added, err
}

// isRecords tells whether an error of accept is due to the record. Any other is due to this node: to its disk, or its end.
func isRecords(err error) bool {
	return isRefusal(err) || errors.Is(err, errConflict) || errors.Is(err, errUnknownAuthor) || errors.Is(err, errUnknownIssuer)
}

// accept is the one way into the store for every record, whoever brings it: it checks that s may exist in this federation, stores it
// durably, and then tells the roster and the subscribers, in one order for all. A record already stored is no error.
//
// Errors: a refusal if a rule is broken, errConflict, errUnknownAuthor or errUnknownIssuer if a sync must come first, ErrClosed,
// or one of the store.
func (n *Network) accept(s *record.Signed, from peer.ID) (added bool, err error) {
	n.acceptMu.Lock()
	defer n.acceptMu.Unlock()
	if added, err = n.mayStore(s, from); !added || err != nil {
		return false, err
	}
	return true, n.keep([]*record.Signed{s}, from)
}

// acceptAll is accept of some records, of which many are stored at once. may is asked for each before it is stored, and told how many records of
// its author are about to be.
func (n *Network) acceptAll(list []*record.Signed, from peer.ID, may func(r *record.Signed, waiting int) error) []error {
	n.acceptMu.Lock()
	defer n.acceptMu.Unlock()
	errs := make([]error, len(list))
	var waiting []*record.Signed
	var places []int
	ofAuthor := make(map[peer.ID]int)
	flush := func() {
		err := n.keep(waiting, from)
		for _, i := range places {
			errs[i] = err
		}
		waiting, places = nil, nil
		clear(ofAuthor)
	}
	type number struct {
		author peer.ID
		seq    uint64
	}
	taken := make(map[number]bool)
	for i, s := range list {
		at := number{s.Author, s.Seq}
		// What follows may rest on a membership record, and must not share its author's number with one that waits.
		if s.Kind.Membership() || taken[at] || len(waiting) == storage.MaxPut {
			flush()
		}
		taken[at] = true
		if errs[i] = may(s, ofAuthor[s.Author]); errs[i] != nil {
			continue
		}
		var fresh bool
		if fresh, errs[i] = n.mayStore(s, from); !fresh || errs[i] != nil {
			continue
		}
		waiting, places = append(waiting, s), append(places, i)
		ofAuthor[s.Author]++
		if s.Kind.Membership() {
			flush()
		}
	}
	flush()
	return errs
}

// mayStore tells whether a record is to be stored: it is not there yet, and breaks no rule. Callers hold acceptMu.
func (n *Network) mayStore(s *record.Signed, from peer.ID) (fresh bool, err error) {
	if n.closed {
		return false, ErrClosed
	}
	if n.store.HasRecord(s.CID) {
		// Invites and certificates may have been written into the store by other parts of this process.
		return false, n.learn(s)
	}
	if err := n.admissible(s); err != nil {
		var r refusal
		if errors.As(err, &r) || errors.Is(err, errConflict) {
			n.reject(from, s.CID, s.Kind, err)
		}
		return false, err
	}
	return true, nil
}

// keep stores records that may be stored, and tells of them. Callers hold acceptMu.
func (n *Network) keep(list []*record.Signed, from peer.ID) error {
	if _, err := n.store.PutRecords(list); err != nil {
		return err
	}
	for _, s := range list {
		if err := n.learn(s); err != nil {
			return err
		}
		n.conduct.add(s.Author, 1)
		n.sources.note(s, from)
		for f := range n.feeds {
			f.push(s)
		}
	}
	return nil
}

// admissible checks everything about s that record.Open cannot: federation, author's right to the kind, and sequence.
func (n *Network) admissible(s *record.Signed) error {
	if s.Kind == record.KindFederation {
		if !s.CID.Equals(n.federation) {
			return refusal("genesis of another federation")
		}
		return nil
	}
	if !s.Federation.Equals(n.federation) {
		return refusal("record belongs to another federation")
	}
	if err := n.authorised(s); err != nil {
		return err
	}
	for other, err := range n.store.ByAuthor(s.Author, storage.Range{From: s.Seq, To: s.Seq}) {
		if err != nil {
			return fmt.Errorf("look for records of %s: %w", s.Author, err)
		}
		if !other.CID.Equals(s.CID) && !n.roster.renews(s, other) {
			return fmt.Errorf("%w: %d, %s", errConflict, s.Seq, other.CID)
		}
	}
	return nil
}

func (n *Network) authorised(s *record.Signed) error {
	known := s.Version == record.Version
	switch {
	case known && s.Kind == record.KindCertificate:
		return n.roster.check(s)
	case known && s.Kind == record.KindRevocation:
		return n.roster.checkRevocation(s)
	case s.Kind == record.KindPolicy && s.Author != n.roster.founder:
		return refusal("only the federation's founder may change its policy")
	case s.Author == n.roster.founder && !byMembers(s.Kind):
		return nil // a kind or version newer than this program
	default:
		return n.roster.authorise(&s.Record)
	}
}

// learn brings a stored record to the roster's knowledge.
func (n *Network) learn(s *record.Signed) error {
	if s.Version != record.Version {
		return nil
	}
	var err error
	switch s.Kind {
	case record.KindAggregate:
		n.conduct.aggregated(s)
		return nil
	case record.KindPolicy:
		n.conduct.ruled(s)
		return nil
	case record.KindCertificate:
		if err = n.roster.add(s); err == nil {
			n.inherit(s)
		}
	case record.KindRevocation:
		err = n.roster.revoke(s)
	default:
		return nil
	}
	n.sweepSoon()
	if err != nil {
		return fmt.Errorf("take %s %s: %w", s.Kind, s.CID, err)
	}
	return nil
}

// reject counts and logs a record that broke a rule.
func (n *Network) reject(from peer.ID, id cid.Cid, kind record.Kind, err error) {
	if from == n.id {
		return
	}
	n.rejectedRecords.Add(1)
	var late tooLate
	if !errors.Is(err, errConflict) && !errors.As(err, &late) {
		n.blame(from, faultInvalid)
	}
	n.log.Warn("record rejected", "peer", from, "record", id, "kind", string(kind), "reason", err)
}
