package p2p

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
	ends   time.Time

	ranges  *reconciler
	result  syncResult
	damaged int
	more    bool // one side has records left
	took    bool // a record was accepted on the other side
}

func newExchange(s *syncService, stream network.Stream, p peer.ID) *exchange {
	return &exchange{s: s, stream: stream, peer: p, ends: time.Now().Add(s.cfg.longest)}
}

// begin is the dialler's side.
func (x *exchange) begin(ctx context.Context) error {
	salt := make([]byte, rangeSalt)
	rand.Read(salt)
	x.ranges = newReconciler(x.s.known(), salt, x.s.cfg.turn)
	message, err := x.ranges.open()
	if err != nil {
		return err
	}
	if err := x.write(message); err != nil {
		return err
	}
	if message, err = x.readRanges(); err != nil {
		return err
	}
	if err := x.answer(message); err != nil {
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
	message, err := x.readRanges()
	if err != nil {
		return err
	}
	if len(message.Salt) != rangeSalt {
		return fmt.Errorf("salt of %d bytes", len(message.Salt))
	}
	x.ranges = newReconciler(x.s.known(), message.Salt, x.s.cfg.turn)
	if err := x.answer(message); err != nil {
		return err
	}
	if err := x.takeRecords(ctx); err != nil {
		return err
	}
	return x.sendRecords()
}

// answer answers a message, and those that follow it.
func (x *exchange) answer(message *syncRanges) error {
	for range maxSyncRound {
		if len(message.Ranges) == 0 {
			return nil
		}
		reply, err := x.ranges.answer(message)
		if err != nil {
			return err
		}
		if err := x.write(reply); err != nil {
			return err
		}
		if len(reply.Ranges) == 0 {
			return nil
		}
		if message, err = x.readRanges(); err != nil {
			return err
		}
	}
	return fmt.Errorf("no end after %d messages", maxSyncRound)
}

func (x *exchange) readRanges() (*syncRanges, error) {
	message := new(syncRanges)
	if err := x.read(message); err != nil {
		return nil, err
	}
	return message, message.check()
}

// patience gives the peer time for one more message or record, as long as the exchange may last.
func (x *exchange) patience() {
	deadline := time.Now().Add(syncIdle)
	if deadline.After(x.ends) {
		deadline = x.ends
	}
	x.stream.SetDeadline(deadline)
}

func (x *exchange) write(message any) error {
	x.patience()
	return writeMessage(x.stream, message)
}

func (x *exchange) read(message any) error {
	x.patience()
	return readMessage(x.stream, message)
}

// sendRecords sends what the peer lacks, in the order of the timeline: first what tells who is a member. A certificate comes after those that it
// rests on, whatever the clocks of their authors said.
func (x *exchange) sendRecords() error {
	w := bufio.NewWriterSize(x.stream, blobChunk)
	over := x.ranges.more || len(x.ranges.lacks) > x.s.cfg.turn
	keys := x.ranges.first(x.s.cfg.turn)
	left := x.ranges.lacks
	var send func(k storage.Key) error
	send = func(k storage.Key) error {
		if !left[k] {
			return nil
		}
		delete(left, k)
		r, err := x.s.cfg.store.Record(k.CID())
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
			return nil // it was refused here, or fsck has to mend it
		}
		if err != nil {
			return err
		}
		if r.Kind == record.KindCertificate {
			for _, parent := range r.Parents {
				if issuer, err := x.s.cfg.store.Record(parent); err == nil {
					if err := send(storage.KeyOf(issuer)); err != nil {
						return err
					}
				}
			}
		}
		x.patience()
		frame := binary.AppendUvarint(nil, uint64(len(r.Envelope)))
		if _, err := w.Write(append(frame, r.Envelope...)); err != nil {
			return fmt.Errorf("send record %s: %w", r.CID, err)
		}
		x.result.Sent++
		return nil
	}
	for _, k := range keys {
		if err := send(k); err != nil {
			return err
		}
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

// takeRecords receives the peer's turn. Records are stored some at once: the disk syncs once for all of them.
func (x *exchange) takeRecords(ctx context.Context) error {
	r := bufio.NewReaderSize(x.stream, blobChunk)
	var waiting []*record.Signed
	size := 0
	for n := 0; ; n++ {
		x.patience()
		envelope, err := readFrame(r, record.MaxSize)
		if err != nil {
			return errors.Join(fmt.Errorf("receive record: %w", err), x.take(ctx, waiting))
		}
		if len(envelope) == 0 {
			break
		}
		if n == syncRecords {
			return fmt.Errorf("more than %d records in one turn", syncRecords)
		}
		signed, err := x.open(envelope)
		if err != nil {
			return err
		}
		if signed == nil {
			continue
		}
		if !x.s.cfg.store.HasRecord(signed.CID) {
			x.s.brought.Add(1)
		}
		waiting = append(waiting, signed)
		if size += len(envelope); len(waiting) == storage.MaxPut || size >= syncBatch {
			if err := x.take(ctx, waiting); err != nil {
				return err
			}
			waiting, size = waiting[:0], 0
		}
	}
	if err := x.take(ctx, waiting); err != nil {
		return err
	}
	var end syncEnd
	if err := readMessage(r, &end); err != nil {
		return err
	}
	x.more = x.more || end.More
	x.took = end.Took > 0
	return nil
}

// open opens one record, nil if it is of no use; its error ends the exchange.
func (x *exchange) open(envelope []byte) (*record.Signed, error) {
	signed, err := record.Open(envelope)
	if err == nil {
		return signed, nil
	}
	x.result.Refused++
	x.s.cfg.damaged(x.peer, err)
	if x.damaged++; x.damaged > syncDamaged {
		return nil, fmt.Errorf("too many damaged records, last: %w", err)
	}
	return nil, nil
}

// take offers records; its error ends the exchange.
func (x *exchange) take(ctx context.Context, list []*record.Signed) error {
	list = slices.DeleteFunc(slices.Clone(list), func(r *record.Signed) bool { return x.s.cfg.store.HasRecord(r.CID) }) // came by gossip meanwhile
	if len(list) == 0 {
		return nil
	}
	for i, err := range x.s.cfg.accept(ctx, x.peer, list) {
		signed := list[i]
		switch {
		case err == nil:
			x.result.Received++
			if signed.Kind.Membership() {
				x.s.refused.clear()
			}
			continue
		case errors.Is(err, ErrClosed) || errors.Is(err, storage.ErrClosed) || errors.Is(err, storage.ErrNoSpace) || ctx.Err() != nil:
			return err // the others would fare alike
		case isRefusal(err) || errors.Is(err, errConflict) || errors.Is(err, errQuota):
			x.s.refused.add(signed)
		}
		x.result.Refused++
		x.s.cfg.log.Debug("synced record not accepted", "peer", x.peer, "record", signed.CID, "kind", string(signed.Kind), "err", err)
	}
	return nil
}
