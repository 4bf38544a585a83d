package top

import (
	"context"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// Source is what is asked of a node. *api.Client is one.
type Source interface {
	Status(context.Context) (*api.Status, error)
	Peers(context.Context) ([]api.Peer, error)
	Rounds(ctx context.Context, w api.Window) ([]api.Round, error)
	Scores(context.Context) (*api.Scores, error)
	Watch(ctx context.Context, after uint64, f func(api.Event) error) error
	Close()
}

// Node is one that is followed.
type Node struct {
	Name string
	Dial func(context.Context) (Source, error)
}

const (
	pollEvery    = time.Second
	historyEvery = 10 * time.Second // rounds and scores, if no event asks for them before
	retryEvery   = 2 * time.Second
	patience     = 5 * time.Second // that an answer may take
	recentRounds = 200
)

// What the model hears of node number i.
type (
	polled struct {
		i      int
		at     time.Time
		status *api.Status
		peers  []api.Peer
	}
	remembered struct {
		i      int
		rounds []api.Round
		scores *api.Scores
	}
	happened struct {
		i int
		e api.Event
	}
	lost struct {
		i   int
		err error
	}
)

// follower asks one node until ctx ends, and sends what it hears.
type follower struct {
	Node
	i    int
	send func(any)
	last uint64 // id of the last event
}

func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.follow(ctx); ctx.Err() == nil {
			f.send(lost{f.i, err})
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// follow asks until an answer fails.
func (f *follower) follow(ctx context.Context) error {
	src, err := f.Dial(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(ctx)
	stale := make(chan struct{}, 1) // rounds and scores are
	watched := make(chan error, 1)
	go func() {
		watched <- src.Watch(ctx, f.last, func(e api.Event) error {
			f.last = e.ID
			f.send(happened{f.i, e})
			if e.Kind == api.EventRound || e.Kind == api.EventPhase {
				select {
				case stale <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}()
	defer func() { <-watched }()
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	history := time.NewTicker(historyEvery)
	defer history.Stop()
	for newest, again := uint64(0), true; ; {
		if newest, err = f.poll(ctx, src); err != nil {
			return err
		}
		if again {
			if err := f.remember(ctx, src, newest); err != nil {
				return err
			}
		}
		again = false
		select {
		case <-tick.C:
		case <-history.C:
			again = true
		case <-stale:
			again = true
		case err := <-watched:
			watched <- nil // for the deferred wait
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// poll asks for what changes all the time, and gives the newest round.
func (f *follower) poll(ctx context.Context, src Source) (newest uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := src.Status(ctx)
	if err != nil {
		return 0, err
	}
	peers, err := src.Peers(ctx)
	if err != nil {
		return 0, err
	}
	f.send(polled{f.i, time.Now(), status, peers})
	return status.Round, nil
}

func (f *follower) remember(ctx context.Context, src Source, newest uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rounds, err := src.Rounds(ctx, api.Window{From: max(newest, recentRounds) - recentRounds})
	if err != nil {
		return err
	}
	scores, err := src.Scores(ctx)
	if err != nil {
		return err
	}
	f.send(remembered{f.i, rounds, scores})
	return nil
}
