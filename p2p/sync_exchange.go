package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// exchange is one run of the protocol.
type exchange struct {
	s      *syncService
	stream network.Stream
	peer   peer.ID

	stored  []storage.AuthorSummary
	refused []refusedRecord
	mine    *syncSummary
	theirs  *syncSummary
	forks   *syncForks // theirs

	result  syncResult
	damaged int
	more    bool // one side has records left
	took    bool // a record was accepted on the other side
}

func newExchange(s *syncService, stream network.Stream, p peer.ID) *exchange {
	return &exchange{s: s, stream: stream, peer: p}
}

// begin is the dialler's side.
func (x *exchange) begin(ctx context.Context) error {
	if err := x.summarise(); err != nil {
		return err
	}
	if err := x.write(x.mine); err != nil {
		return err
	}
	if err := x.readSummary(); err != nil {
		return err
	}
	if err := x.writeForks(); err != nil {
		return err
	}
	if err := x.readForks(); err != nil {
		return err
	}
	if err := x.sendRecords(); err != nil {
		return err
	}
	if err := x.takeRecords(ctx); err != nil {
		return err
	}
	x.awaitEnd()
	return nil
}

// awaitEnd waits a little until the listener is ready for another exchange, which it tells by ending the stream.
func (x *exchange) awaitEnd() {
	x.stream.SetDeadline(time.Now().Add(syncLinger))
	if x.stream.CloseWrite() == nil {
		x.stream.Read(make([]byte, 1))
	}
}

// listen is the other side.
func (x *exchange) listen(ctx context.Context) error {
	if err := x.readSummary(); err != nil {
		return err
	}
	if err := x.summarise(); err != nil {
		return err
	}
	if err := x.write(x.mine); err != nil {
		return err
	}
	if err := x.readForks(); err != nil {
		return err
	}
	if err := x.writeForks(); err != nil {
		return err
	}
	if err := x.takeRecords(ctx); err != nil {
		return err
	}
	return x.sendRecords()
}

// patience gives the peer time for one more message or record.
func (x *exchange) patience() { x.stream.SetDeadline(time.Now().Add(syncIdle)) }

func (x *exchange) write(message any) error {
	x.patience()
	return writeMessage(x.stream, message)
}

func (x *exchange) read(message any) error {
	x.patience()
	return readMessage(x.stream, message)
}

func (x *exchange) summarise() (err error) {
	if x.stored, err = x.s.cfg.store.Summaries(); err != nil {
		return err
	}
	x.refused = x.s.refused.all(x.s.cfg.store.HasRecord)
	x.mine, err = claim(x.stored, x.refused)
	return err
}

func (x *exchange) readSummary() error {
	x.theirs = new(syncSummary)
	if err := x.read(x.theirs); err != nil {
		return err
	}
	return x.theirs.check()
}

func (x *exchange) writeForks() error {
	forks := new(syncForks)
	left := maxForkCIDs
	for _, author := range forked(x.mine, x.theirs) {
		list := forkList{Author: author}
		for _, r := range x.refused {
			if r.author == author && left > 0 {
				list.CIDs = append(list.CIDs, r.cid)
				left--
			}
		}
		stored, upto, err := x.s.cfg.store.CIDs(author, left)
		if err != nil {
			return err
		}
		list.CIDs, list.Upto = append(list.CIDs, stored...), upto
		left -= len(stored)
		forks.Lists = append(forks.Lists, list)
	}
	return x.write(forks)
}

func (x *exchange) readForks() error {
	x.forks = new(syncForks)
	if err := x.read(x.forks); err != nil {
		return err
	}
	if len(x.forks.Lists) > maxSyncAuthors {
		return fmt.Errorf("CIDs of %d authors, at most %d are allowed", len(x.forks.Lists), maxSyncAuthors)
	}
	return nil
}

// errTurnOver ends a walk over records when the turn is full.
var errTurnOver = errors.New("turn is over")

// sendRecords sends what the peer lacks: first what tells who is a member, in order of arrival, since a certificate arrives after those
// it rests on; then everything else by author.
func (x *exchange) sendRecords() error {
	wanted := newLacks(x.theirs, x.forks)
	w := bufio.NewWriterSize(x.stream, blobChunk)
	err := x.walk(wanted, func(r *record.Signed) error {
		if x.result.Sent == x.s.cfg.turn {
			return errTurnOver
		}
		x.patience()
		frame := binary.AppendUvarint(nil, uint64(len(r.Envelope)))
		if _, err := w.Write(append(frame, r.Envelope...)); err != nil {
			return fmt.Errorf("send record %s: %w", r.CID, err)
		}
		x.result.Sent++
		return nil
	})
	over := errors.Is(err, errTurnOver)
	if err != nil && !over {
		return err
	}
	x.more = x.more || over
	x.patience()
	if err := w.WriteByte(0); err != nil {
		return err
	}
	if err := writeMessage(w, &syncEnd{More: over, Took: uint64(x.result.Received)}); err != nil {
		return err
	}
	return w.Flush()
}

// walk calls f for each stored record that is wanted.
func (x *exchange) walk(wanted *lacks, f func(*record.Signed) error) error {
	ranges := make([][]storage.Range, len(x.stored))
	none := true
	for i, a := range x.stored {
		ranges[i] = wanted.ranges(a)
		none = none && len(ranges[i]) == 0
	}
	if none {
		return nil
	}
	for _, kind := range membershipKinds {
		for r, err := range x.s.cfg.store.Records(kind) {
			if err == nil && wanted.wants(r) {
				err = f(r)
			}
			if err != nil {
				return err
			}
		}
	}
	for i, a := range x.stored {
		for _, part := range ranges[i] {
			for r, err := range x.s.cfg.store.ByAuthor(a.Author, part) {
				if err == nil && wanted.wants(r) && !isMembership(r.Kind) {
					err = f(r)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// membershipKinds say who is a member, in the order to send them.
var membershipKinds = []record.Kind{record.KindFederation, record.KindCertificate, record.KindRevocation}

func isMembership(k record.Kind) bool {
	return k == record.KindFederation || k == record.KindCertificate || k == record.KindRevocation
}

// takeRecords receives the peer's turn.
func (x *exchange) takeRecords(ctx context.Context) error {
	r := bufio.NewReaderSize(x.stream, blobChunk)
	for n := 0; ; n++ {
		x.patience()
		envelope, err := readFrame(r, record.MaxSize)
		if err != nil {
			return fmt.Errorf("receive record: %w", err)
		}
		if len(envelope) == 0 {
			break
		}
		if n == syncRecords {
			return fmt.Errorf("more than %d records in one turn", syncRecords)
		}
		if err := x.take(ctx, envelope); err != nil {
			return err
		}
	}
	var end syncEnd
	if err := readMessage(r, &end); err != nil {
		return err
	}
	x.more = x.more || end.More
	x.took = end.Took > 0
	return nil
}

// take opens and offers one record; its error ends the exchange.
func (x *exchange) take(ctx context.Context, envelope []byte) error {
	signed, err := record.Open(envelope)
	if err != nil {
		x.result.Refused++
		x.s.cfg.damaged(x.peer, err)
		if x.damaged++; x.damaged > syncDamaged {
			return fmt.Errorf("too many damaged records, last: %w", err)
		}
		return nil
	}
	if x.s.cfg.store.HasRecord(signed.CID) {
		return nil // came by gossip meanwhile
	}
	err = x.s.cfg.accept(ctx, x.peer, signed)
	switch {
	case err == nil:
		x.result.Received++
		if isMembership(signed.Kind) {
			x.s.refused.clear()
		}
		return nil
	case errors.Is(err, ErrClosed) || errors.Is(err, storage.ErrClosed) || errors.Is(err, storage.ErrNoSpace) || ctx.Err() != nil:
		return err // the others would fare alike
	case isRefusal(err) || errors.Is(err, errConflict) || errors.Is(err, errQuota):
		x.s.refused.add(signed)
	}
	x.result.Refused++
	x.s.cfg.log.Debug("synced record not accepted", "peer", x.peer, "record", signed.CID, "kind", string(signed.Kind), "err", err)
	return nil
}
