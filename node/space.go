package node

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const (
	spaceEvery = 5 * time.Second // looks at the disk
	spaceTight = 0.9             // of the quota: from here on rounds are given up
)

// room says why the node stores nothing at the moment, nil if it does.
func (n *Node) room() error {
	if err := n.store.Room(); errors.Is(err, storage.ErrNoSpace) {
		return api.Advise(err, "free space there: the node goes on by itself")
	}
	return nil
}

// tellStanding lets the other super-peers know whether this one closes rounds.
func (n *Node) tellStanding() {
	if n.member.Role == record.RoleSuper {
		n.network.StandAside(n.guest.Load() || n.room() != nil)
	}
}

// noRoom tells whether an error is that of a full disk or quota.
func noRoom(err error) bool {
	return errors.Is(err, storage.ErrNoSpace) || errors.Is(err, syscall.ENOSPC)
}

// tight tells whether there is little room left.
func (n *Node) tight() bool {
	if n.cfg.DiskQuota == 0 { // the size of the home, which takes a look at each of its files, does not matter
		return n.room() != nil
	}
	space, err := n.store.Space()
	return n.room() != nil || err == nil && float64(space.Used) > spaceTight*float64(space.Quota)
}

// makeRoom gives up rounds beyond what the node otherwise keeps, the oldest first and down to keepCheckpoints, while there is little room. A node
// that keeps all rounds gives up none.
func (n *Node) makeRoom() {
	keep, newest := n.genesis.keepRounds(n.ledger, n.cfg), n.ledger.newest(nil)
	if newest == nil || newest.body.Round == n.roomMade || keep <= keepCheckpoints || !n.tight() {
		return
	}
	n.roomMade = newest.body.Round // nothing more can be given up before the next round
	for keep > keepCheckpoints && n.tight() {
		keep = max(keep/2, keepCheckpoints)
		swept, err := n.sweep(keep)
		if err != nil {
			n.log.Warn("no room made", "err", err)
			return
		}
		n.log.Info("room made", "rounds_kept", keep, "blobs", swept.Removed, "bytes", swept.Bytes)
	}
}

// awaitRoom waits while the disk or the quota is full: what would be learned could not be stored.
func (n *Node) awaitRoom(ctx context.Context) error {
	for waited := false; ; waited = true {
		err := n.room()
		n.tellStanding()
		switch {
		case err == nil && waited:
			n.log.Info("there is room again")
			fallthrough
		case err == nil:
			return nil
		case !waited:
			n.log.Warn("waiting for room", "err", err)
		}
		n.live.enter(phaseDiskFull)
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}
