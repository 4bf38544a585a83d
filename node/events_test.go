package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// texts reads the texts of the next n events.
func texts(t *testing.T, c <-chan api.Event, n int) []string {
	t.Helper()
	var list []string
	for len(list) < n {
		select {
		case e, ok := <-c:
			if !ok {
				t.Fatalf("the events ended after %v", list)
			}
			list = append(list, e.Text)
		case <-time.After(10 * time.Second):
			t.Fatalf("only %v came", list)
		}
	}
	return list
}

func TestEventsReachEveryReader(t *testing.T) {
	s := newEvents()
	s.tell(api.Event{Kind: api.EventError, Text: "a"})
	early := s.follow(t.Context(), 0)
	s.tell(api.Event{Kind: api.EventError, Text: "b"})
	first := s.kept[0]
	late := s.follow(t.Context(), first.ID)
	s.tell(api.Event{Kind: api.EventError, Text: "c"})
	if got := texts(t, early, 3); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the early reader got %v", got)
	}
	if got := texts(t, late, 2); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("the reader after the first event got %v", got)
	}
	if first.Time == 0 || s.kept[1].ID <= first.ID || s.kept[2].ID <= s.kept[1].ID {
		t.Errorf("times and ids of %+v", s.kept)
	}
}

func TestEventsForgetTheOldest(t *testing.T) {
	s := newEvents()
	for range 5 * keptEvents {
		s.tell(api.Event{})
	}
	if got := len(s.follow(t.Context(), 0)); got != keptEvents {
		t.Errorf("a new reader gets %d events, want %d", got, keptEvents)
	}
}

func TestEventsDropSlowReaders(t *testing.T) {
	s := newEvents()
	c := s.follow(t.Context(), 0)
	for range unreadEvents + 1 {
		s.tell(api.Event{})
	}
	n := 0
	for range c { // closed, so that this ends
		n++
	}
	if n != unreadEvents || len(s.readers) != 0 {
		t.Errorf("the reader got %d events, and %d readers are left", n, len(s.readers))
	}
}

func TestEventsEndWithTheReader(t *testing.T) {
	s := newEvents()
	ctx, cancel := context.WithCancel(t.Context())
	c := s.follow(ctx, 0)
	cancel()
	if _, ok := <-c; ok {
		t.Error("an event came from nowhere")
	}
	s.tell(api.Event{}) // must not write to the closed channel
}

// TestLearnerEvents: phases are told at once, steps once a second, an error once.
func TestLearnerEvents(t *testing.T) {
	s := newEvents()
	l := newLive(s)
	l.progress("ccl", 0, 10, 0)
	for i := range 9 {
		l.progress("ccl", i+1, 10, 1)
	}
	l.enter("waiting")
	l.fail(errors.New("broken"))
	l.fail(errors.New("broken"))
	l.fail(nil)
	l.fail(errors.New("broken"))
	var kinds []string
	for _, e := range s.kept {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{api.EventPhase, api.EventPhase, api.EventError, api.EventError}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

// checkEvents wants every round and delta to have been told, once. Round 0 may be older than the node's start.
func checkEvents(t *testing.T, name string, m *member, rounds []api.Round) {
	t.Helper()
	want := map[string]bool{}
	for _, r := range rounds {
		if r.Round == 0 {
			continue
		}
		want[r.Aggregate] = true
		for _, in := range r.Inputs {
			want[in.Delta] = true
		}
	}
	c, err := api.Dial(m.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := errors.New("all are there")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	told := map[string]bool{}
	err = c.Watch(ctx, 0, func(e api.Event) error {
		if e.CID != "" && told[e.CID] {
			t.Errorf("%s: %s was told twice", name, e.CID)
		}
		told[e.CID] = true
		delete(want, e.CID)
		if len(want) == 0 {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		t.Errorf("%s: not told of %v: %v", name, want, err)
	}
}
