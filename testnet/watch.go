package testnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// pollEvery is how often the nodes are asked how they are.
const pollEvery = 500 * time.Millisecond

// errStalled says that no node moves any more.
var errStalled = errors.New("the testnet stands still")

// watcher follows the nodes until all are done.
type watcher struct {
	nodes  []Node
	names  map[string]string // by peer id
	views  []view
	failed []string // last error of each node
	rounds uint64   // told so far
	opened bool     // round 0 told
	show   display
	stall  time.Duration
}

func (t *Testnet) newWatcher() *watcher {
	w := &watcher{nodes: t.nodes, names: map[string]string{}, views: make([]view, len(t.nodes)), failed: make([]string, len(t.nodes)), show: t.show, stall: t.opt.Stall}
	for i, m := range t.folder.Members {
		w.names[m.PeerID] = m.Name
		w.views[i].name = m.Name
	}
	return w
}

// watch returns nil when every node that is left is done. Nodes that end before are told of, and followed again when somebody starts them
// anew; the others go on. When nothing moves for the stall limit, or no node is left, it gives up.
func (w *watcher) watch(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var before string
	moved := time.Now()
	for {
		w.poll(ctx)
		w.tellRounds(ctx)
		w.show.nodes(w.views)
		switch left, done := w.count(); {
		case left == 0:
			return api.Advise(errors.New("every node has ended before it was done"), "see why with `mlecs testnet logs NAME`")
		case done == left:
			return nil
		}
		if now := w.signature(); now != before {
			before, moved = now, time.Now()
		} else if time.Since(moved) > w.stall {
			return api.Advise(fmt.Errorf("%w: nothing moved for %s (%s)", errStalled, w.stall, w.summary()), "see why with `mlecs testnet logs NAME`")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// poll asks every node at once, and tells what has changed.
func (w *watcher) poll(ctx context.Context) {
	fresh := make([]*api.Status, len(w.nodes))
	var wait sync.WaitGroup
	for i, n := range w.nodes {
		wait.Go(func() { fresh[i], _ = askStatus(n.Home()) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return
	}
	for i, n := range w.nodes {
		w.update(i, n, fresh[i])
	}
}

func (w *watcher) update(i int, n Node, st *api.Status) {
	v := &w.views[i]
	if st == nil {
		// A node that is busy for a moment is not lost: only one whose process has ended is.
		if !v.lost && closed(n.Exited()) {
			v.lost = true
			w.show.say("%s has ended: %s; the others go on", v.name, ending(n))
		}
		return
	}
	if v.lost {
		v.lost = false
		w.show.say("%s is back, as process %d", v.name, st.PID)
	}
	if v.st == nil || v.st.Phase != st.Phase {
		w.show.say("%s: %s", v.name, phaseText(st.Phase))
	}
	if st.Error != "" && st.Error != w.failed[i] {
		w.show.say("%s reports: %s", v.name, st.Error)
	}
	w.failed[i] = st.Error
	v.st = st
}

// ending says how a node's process ended, with the last line of its log.
func ending(n Node) string {
	how := "it stopped"
	if err := n.Err(); err != nil {
		how = err.Error()
	}
	if line := lastLine(n.Log()); line != "" {
		how += " (last log line: " + line + ")"
	}
	return how
}

// tellRounds says which rounds have closed, as any super-peer tells.
func (w *watcher) tellRounds(ctx context.Context) {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i, n := range w.nodes {
		v := w.views[i]
		if n.Role() != roleSuper || v.lost || v.st == nil || v.st.Round <= w.rounds && w.opened {
			continue
		}
		client, err := n.API()
		if err != nil {
			continue
		}
		rounds, err := client.Rounds(ask, api.Window{})
		client.Close()
		if err != nil {
			continue
		}
		for _, r := range rounds {
			w.tellRound(r)
		}
		return
	}
}

func (w *watcher) tellRound(r api.Round) {
	if r.Round == 0 {
		if !w.opened {
			w.opened = true
			w.show.say("round 0: the super-peer has taught itself; the edges begin")
		}
		return
	}
	if r.Round <= w.rounds {
		return
	}
	w.rounds = r.Round
	inputs := make([]string, len(r.Inputs))
	for i, in := range r.Inputs {
		name := w.names[in.Author]
		if name == "" {
			name = in.Author
		}
		inputs[i] = fmt.Sprintf("%s %.2f", name, in.Weight)
	}
	w.show.say("round %d closed after %.1f s with %s: %s", r.Round, r.Seconds, count(len(r.Inputs), "delta"), strings.Join(inputs, ", "))
}

// count tells how many nodes are left, and how many of these are done.
func (w *watcher) count() (left, done int) {
	for _, v := range w.views {
		if v.lost {
			continue
		}
		left++
		if v.st != nil && v.st.Done {
			done++
		}
	}
	return left, done
}

// signature differs whenever a node has moved.
func (w *watcher) signature() string {
	var b strings.Builder
	for _, v := range w.views {
		if st := v.st; st != nil && !v.lost {
			fmt.Fprintf(&b, "%s %d %d %d %v;", st.Phase, st.Round, st.StepDone, st.Records, st.Done)
		} else {
			fmt.Fprintf(&b, "%v;", v.lost)
		}
	}
	return b.String()
}

func (w *watcher) summary() string {
	parts := make([]string, len(w.views))
	for i, v := range w.views {
		parts[i] = v.name + " " + v.at()
		if w.failed[i] != "" {
			parts[i] += ": " + w.failed[i]
		}
	}
	return strings.Join(parts, "; ")
}

// failure tells of a node that ended by itself before it was done: one that was killed is somebody's will.
func (w *watcher) failure() error {
	for i, n := range w.nodes {
		var exit *exec.ExitError
		if !w.views[i].lost || errors.As(n.Err(), &exit) && !exit.Exited() {
			continue
		}
		return api.Advise(fmt.Errorf("%s ended before its last round: %s", n.Name(), ending(n)), "read its log: %s", n.Log())
	}
	return nil
}

// lost names the nodes that ended before they were done.
func (w *watcher) lost() (names []string) {
	for _, v := range w.views {
		if v.lost {
			names = append(names, v.name)
		}
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
