package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

// subject is a node under test: it knows whether the node should run, so that an end of its own is noticed.
type subject struct {
	testnet.Node
	id     string // peer id
	placed *placement

	mu       sync.Mutex
	wanted   bool
	paused   bool
	pid      int           // of the process that should run
	starting chan struct{} // closed when the start under way has ended; nil before the first
	failed   error         // of the last start, unless it was killed meanwhile
	endings  []string      // ends that nobody asked for
	phase    string        // of its work, as last heard
}

// askPatience bounds a question to a node.
const askPatience = 5 * time.Second

func newSubject(ctx context.Context, n testnet.Node, p *placement) (*subject, error) {
	s := &subject{Node: n, placed: p, wanted: true, pid: n.PID()}
	st, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	s.id = st.PeerID
	return s, nil
}

// ask puts a question to the running node.
func ask[T any](ctx context.Context, s *subject, f func(context.Context, *api.Client) (T, error)) (T, error) {
	var none T
	client, err := s.API()
	if err != nil {
		return none, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return f(ctx, client)
}

func (s *subject) status(ctx context.Context) (*api.Status, error) {
	return ask(ctx, s, func(ctx context.Context, c *api.Client) (*api.Status, error) { return c.Status(ctx) })
}

func (s *subject) rounds(ctx context.Context) ([]api.Round, error) {
	return ask(ctx, s, func(ctx context.Context, c *api.Client) ([]api.Round, error) { return c.Rounds(ctx, api.Window{}) })
}

func (s *subject) records(ctx context.Context) ([]string, error) {
	return ask(ctx, s, func(ctx context.Context, c *api.Client) ([]string, error) { return c.Records(ctx) })
}

// up tells whether the node should run and answer.
func (s *subject) up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted && !s.paused
}

// end kills the node, or stops it cleanly.
func (s *subject) end(how func() error) error {
	s.noteEnding()
	s.mu.Lock()
	s.wanted = false
	s.mu.Unlock()
	return how()
}

// begin starts the node and returns once its process is there; settled waits until it answers.
func (s *subject) begin(ctx context.Context) {
	s.noteEnding()
	s.mu.Lock()
	before := s.starting
	s.mu.Unlock()
	if before != nil {
		<-before
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.wanted, s.starting, s.failed = true, done, nil
	s.mu.Unlock()
	go func() {
		defer close(done)
		err := s.Start(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil && s.wanted && ctx.Err() == nil {
			s.failed = err
		}
	}()
	for s.PID() == 0 {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
	s.mu.Lock()
	s.pid = s.PID()
	s.mu.Unlock()
}

// settled waits until the start under way has ended.
func (s *subject) settled(ctx context.Context) error {
	s.mu.Lock()
	starting := s.starting
	s.mu.Unlock()
	if starting != nil {
		select {
		case <-starting:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// noteEnding remembers an end of the process that nobody asked for.
func (s *subject) noteEnding() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted || s.pid == 0 || s.PID() == s.pid {
		return
	}
	how := "it stopped"
	if err := s.Err(); err != nil {
		how = err.Error()
	}
	s.endings = append(s.endings, fmt.Sprintf("process %d of %s ended by itself: %s", s.pid, s.Name(), how))
	s.pid = 0
}

// pick gives the nodes that a word of the script names. apart are those that rest leaves out.
func (l *lab) pick(ctx context.Context, words string, apart ...*subject) ([]*subject, error) {
	names, err := readNodes(words)
	if err != nil {
		return nil, err
	}
	role := func(want string) []*subject {
		return slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return s.Role() != want })
	}
	var list []*subject
	add := func(some ...*subject) {
		for _, s := range some {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	for _, name := range names {
		switch name {
		case "all":
			add(l.subjects...)
		case "edges":
			add(role("edge")...)
		case "supers":
			add(role("super")...)
		case "any":
			add(draw(l, l.subjects))
		case "any-edge":
			add(draw(l, role("edge")))
		case "any-super":
			add(draw(l, role("super")))
		case "leader", "others":
			leader, err := l.leader(ctx)
			if err != nil {
				return nil, err
			}
			if name == "leader" {
				add(leader)
			} else {
				add(slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return s == leader })...)
			}
		case "aggregating":
			at, err := l.aggregating(ctx)
			if err != nil {
				return nil, err
			}
			add(at)
		case "rest":
			add(slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return slices.Contains(apart, s) })...)
		default:
			i := slices.IndexFunc(l.subjects, func(s *subject) bool { return s.Name() == name })
			if i < 0 {
				return nil, fmt.Errorf("the testnet has no %s", name)
			}
			add(l.subjects[i])
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%q names nobody", words)
	}
	return list, nil
}

func draw(l *lab, some []*subject) *subject { return some[l.dice.IntN(len(some))] }

// checkNames refuses a script that names nodes which the testnet does not have.
func (l *lab) checkNames(steps []Step) error {
	for _, s := range steps {
		words := s.Args
		if on, ok := s.Keys["on"]; ok {
			words = append(slices.Clone(words), on)
		}
		for _, w := range words {
			for _, name := range strings.Split(w, ",") {
				if !nodeName.MatchString(name) {
					continue
				}
				var n int
				role, number, _ := strings.Cut(name, "-")
				fmt.Sscan(number, &n)
				have, flag := l.setup.Edges, "--edges"
				if role == "super" {
					have, flag = l.setup.Supers, "--supers"
				}
				if n > have {
					return api.Advise(fmt.Errorf("%s:%d: the testnet has no %s", l.opt.Script.Name, s.Line, name), "this scenario takes %s %d or more", flag, n)
				}
			}
		}
		if err := l.checkNames(s.Body); err != nil {
			return err
		}
	}
	return nil
}

// leader is who made the newest aggregate that any node knows.
func (l *lab) leader(ctx context.Context) (*subject, error) {
	var newest api.Round
	for _, s := range l.subjects {
		if !s.up() {
			continue
		}
		rounds, err := s.rounds(ctx)
		if err == nil && len(rounds) > 0 && (newest.Leader == "" || rounds[len(rounds)-1].Round > newest.Round) {
			newest = rounds[len(rounds)-1]
		}
	}
	if i := slices.IndexFunc(l.subjects, func(s *subject) bool { return s.id == newest.Leader }); i >= 0 {
		return l.subjects[i], nil
	}
	return nil, errors.New("no node knows of an aggregate of this testnet")
}

// aggregating waits for a super-peer that is in the middle of closing a round.
func (l *lab) aggregating(ctx context.Context) (at *subject, err error) {
	deadline := time.Now().Add(defaultPatience)
	for time.Now().Before(deadline) {
		for _, s := range l.subjects {
			if s.Role() != "super" || !s.up() {
				continue
			}
			if st, err := s.status(ctx); err == nil && (st.Phase == "mma" || st.Phase == "se-ccl") {
				return s, nil
			}
		}
		if err := rest(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no super-peer was seen aggregating within %s", defaultPatience)
}

// each does something to several nodes at once, and joins what failed.
func each(list []*subject, f func(*subject) error) error {
	errs := make([]error, len(list))
	var wait sync.WaitGroup
	for i, s := range list {
		wait.Go(func() {
			if err := f(s); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.Name(), err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func nodeNames(list []*subject) string { return strings.Join(namesOf(list), ", ") }
