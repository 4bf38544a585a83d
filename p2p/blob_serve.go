package p2p

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/mlecs/mlecs/storage"
)

// handler serves streams of a protocol, each of which is one request.
func (b *blobService) handler(of protocol.ID, answer func(network.Stream, peer.ID) error) network.StreamHandler {
	return func(s network.Stream) {
		if !b.begin() {
			s.Reset()
			return
		}
		defer b.tasks.Done()
		defer resetOn(b.ctx, s)()
		p := s.Conn().RemotePeer()
		if err := answer(s, p); err != nil {
			s.Reset()
			b.cfg.log.Debug("blob not served", "peer", p, "protocol", of, "err", err)
			return
		}
		s.Close()
	}
}

func (b *blobService) answer(s network.Stream, p peer.ID) error {
	s.SetDeadline(time.Now().Add(b.cfg.idle))
	var req blobRequest
	if err := readLimited(s, maxBlobMessage, &req); err != nil {
		return err
	}
	if err := b.cfg.allow(p, req.CID); err != nil {
		b.cfg.log.Info("blob refused", "peer", p, "blob", req.CID, "reason", err)
		return writeMessage(s, &blobReply{Status: blobAbsent})
	}
	if !b.blobStreams.admit(p) {
		return writeMessage(s, &blobReply{Status: blobBusy})
	}
	defer b.blobStreams.release(p)

	f, size, err := b.cfg.store.OpenBlob(req.CID)
	if errors.Is(err, storage.ErrNotFound) {
		return writeMessage(s, &blobReply{Status: blobAbsent})
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if req.Offset < 0 || req.Offset > size {
		return writeMessage(s, &blobReply{Status: blobAbsent})
	}
	if _, err := f.Seek(req.Offset, io.SeekStart); err != nil {
		return err
	}
	if err := writeMessage(s, &blobReply{Status: blobFollows, Size: size}); err != nil {
		return err
	}
	return sendChunks(s, f, size-req.Offset, b.cfg.idle)
}

// sendChunks copies n bytes; a peer that does not take a chunk in time is given up.
func sendChunks(s network.Stream, r io.Reader, n int64, idle time.Duration) error {
	chunk := make([]byte, blobChunk)
	for n > 0 {
		part := chunk[:min(n, blobChunk)]
		if _, err := io.ReadFull(r, part); err != nil {
			return err
		}
		s.SetWriteDeadline(time.Now().Add(idle))
		if _, err := s.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// streamLimits bound the streams that are served at a time.
type streamLimits struct {
	all, toOne int

	mu     sync.Mutex
	taken  map[peer.ID]int
	number int
}

func newStreamLimits(all, toOne int) *streamLimits {
	return &streamLimits{all: all, toOne: toOne, taken: make(map[peer.ID]int)}
}

// admit takes a place for p; false if there is none.
func (l *streamLimits) admit(p peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == l.all || l.taken[p] == l.toOne {
		return false
	}
	l.number++
	l.taken[p]++
	return true
}

func (l *streamLimits) release(p peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number--
	if l.taken[p]--; l.taken[p] == 0 {
		delete(l.taken, p)
	}
}
