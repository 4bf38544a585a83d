package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
)

func (b *blobService) answerPiece(s network.Stream, p peer.ID) error {
	s.SetDeadline(time.Now().Add(b.cfg.idle))
	var req pieceRequest
	if err := readLimited(s, maxBlobMessage, &req); err != nil {
		return err
	}
	if err := b.cfg.allow(p, req.CID); err != nil {
		b.cfg.log.Info("blob refused", "peer", p, "blob", req.CID, "reason", err)
		return writeMessage(s, &pieceReply{Status: blobAbsent})
	}
	if !b.pieceStreams.admit(p) {
		return writeMessage(s, &pieceReply{Status: blobBusy})
	}
	defer b.pieceStreams.release(p)

	h, err := b.openPiece(req.CID, req.Piece)
	if errors.Is(err, storage.ErrNotFound) {
		return writeMessage(s, &pieceReply{Status: blobAbsent})
	}
	if err != nil {
		return err
	}
	defer h.close()
	reply := pieceReply{Status: pieceElsewhere}
	given := b.handed.give(p, req)
	b.handed.tell(&reply, p, req)
	if !given {
		return writeMessage(s, &reply)
	}
	data, err := h.read(min(b.cfg.idle, piecePatience))
	if err != nil {
		return err
	}
	reply.Status, reply.Size = blobFollows, h.size
	if err := writeMessage(s, &reply); err != nil {
		return err
	}
	return sendChunks(s, data, pieceSize(h.size, req.Piece), b.cfg.idle)
}

// heldPiece is a piece that this node has, or is about to have.
type heldPiece struct {
	size  int64 // of the whole blob
	read  func(patience time.Duration) (io.Reader, error)
	close func() error
}

// openPiece finds a piece in the store, or among those that are being fetched; storage.ErrNotFound if it is in neither.
func (b *blobService) openPiece(id cid.Cid, i int64) (*heldPiece, error) {
	f, size, err := b.cfg.store.OpenBlob(id)
	switch {
	case err == nil && (i < 0 || i >= countPieces(size)):
		return nil, errors.Join(storage.ErrNotFound, f.Close())
	case err == nil:
		return &heldPiece{size, func(time.Duration) (io.Reader, error) {
			_, err := f.Seek(i*pieceBytes, io.SeekStart)
			return f, err
		}, f.Close}, nil
	case !errors.Is(err, storage.ErrNotFound):
		return nil, err
	}
	b.mu.Lock()
	flight := b.flights[id]
	b.mu.Unlock()
	if flight == nil {
		return nil, storage.ErrNotFound
	}
	x := flight.pieces.Load()
	if x == nil || !x.expects(i) {
		return nil, storage.ErrNotFound
	}
	return &heldPiece{x.size, func(patience time.Duration) (io.Reader, error) {
		data, err := x.read(i, patience)
		if err != nil {
			return nil, fmt.Errorf("piece %d of blob %s: %w", i, id, err)
		}
		return bytes.NewReader(data), nil
	}, func() error { return nil }}, nil
}
