package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// mark remembers at which round every node is: rounds +N counts from there.
func (l *lab) mark(ctx context.Context, _ Step) error {
	l.marked = time.Now()
	l.bases = map[string]uint64{}
	for _, s := range l.subjects {
		st, err := s.status(ctx)
		if err == nil {
			l.bases[s.Name()] = st.Round
		}
	}
	return nil
}

// expectRounds waits until every node knows of so many rounds more than at the mark.
func (l *lab) expectRounds(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	for _, subject := range list { // a node that was down at the mark counts from what the furthest had
		if _, ok := l.bases[subject.Name()]; !ok {
			for _, base := range l.bases {
				l.bases[subject.Name()] = max(l.bases[subject.Name()], base)
			}
		}
	}
	var at []string
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		at = nil
		done := true
		for _, subject := range list {
			st, err := subject.status(ctx)
			if err != nil {
				at, done = append(at, fmt.Sprintf("%s: %v", subject.Name(), err)), false
				continue
			}
			at = append(at, fmt.Sprintf("%s %d to %d", subject.Name(), l.bases[subject.Name()], st.Round))
			if st.Round < l.bases[subject.Name()]+s.more(0) {
				done = false
				if st.Error != "" {
					at[len(at)-1] += " (" + st.Error + ")"
				}
			}
		}
		return done
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	l.found(s, "rounds go on", err == nil, "in %.1f s: %s", time.Since(l.marked).Seconds(), strings.Join(at, ", "))
	return nil
}

// expectInputs waits until deltas that the nodes made after the mark are counted in an aggregate.
func (l *lab) expectInputs(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	began := time.Now()
	counted := map[string]uint64{} // by node: the round that counted it
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		for _, asked := range l.subjects {
			if !asked.up() {
				continue
			}
			rounds, err := asked.rounds(ctx)
			if err != nil {
				continue
			}
			deltas, err := ask(ctx, asked, func(ctx context.Context, c *api.Client) ([]api.Delta, error) { return c.Deltas(ctx, api.Window{}) })
			if err != nil {
				continue
			}
			fresh := map[string]bool{}
			for _, d := range deltas {
				fresh[d.CID] = d.Created >= l.marked.UnixMilli()
			}
			for _, r := range rounds {
				for _, in := range r.Inputs {
					i := slices.IndexFunc(list, func(s *subject) bool { return s.id == in.Author })
					if i >= 0 && fresh[in.Delta] && counted[list[i].Name()] == 0 {
						counted[list[i].Name()] = r.Round
					}
				}
			}
		}
		return len(counted) == len(list)
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	var text []string
	for _, subject := range list {
		if r := counted[subject.Name()]; r > 0 {
			text = append(text, fmt.Sprintf("%s in round %d", subject.Name(), r))
		} else {
			text = append(text, subject.Name()+" in none")
		}
	}
	l.found(s, "work of "+nodeNames(list)+" is counted", err == nil, "after %.1f s: %s", time.Since(began).Seconds(), strings.Join(text, ", "))
	return nil
}

// expectDeltas waits until every node has published deltas of so many rounds more than it had when the testnet was last marked: edges may go on
// without anybody who closes rounds.
func (l *lab) expectDeltas(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	var at []string
	alone := 0
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		at, alone = nil, 0
		done := true
		for _, subject := range list {
			base := l.bases[subject.Name()]
			newest, err := subject.newestDelta(ctx, base)
			if err != nil {
				at, done = append(at, fmt.Sprintf("%s: %v", subject.Name(), err)), false
				continue
			}
			if st, err := subject.status(ctx); err == nil && st.Cloudless {
				alone++
			}
			at = append(at, fmt.Sprintf("%s round %d to %d", subject.Name(), base, newest))
			// The delta of the round after the last aggregate may be from before.
			done = done && newest >= base+1+s.more(0)
		}
		return done
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	l.found(s, "edges go on", err == nil, "in %.1f s: %s; %d of %d say that they are without a super-peer", time.Since(l.marked).Seconds(), strings.Join(at, ", "), alone, len(list))
	return nil
}

// newestDelta is the last round of which the node has published a delta, as far as it is not before a round.
func (s *subject) newestDelta(ctx context.Context, from uint64) (newest uint64, err error) {
	deltas, err := ask(ctx, s, func(ctx context.Context, c *api.Client) ([]api.Delta, error) {
		return c.Deltas(ctx, api.Window{From: from})
	})
	for _, d := range deltas {
		if d.Author == s.id {
			newest = max(newest, d.Round)
		}
	}
	return newest, err
}

// expectFirst: the first aggregate after the mark counts work that the nodes did before it.
func (l *lab) expectFirst(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	var first api.Round
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		for _, asked := range l.subjects {
			if !asked.up() {
				continue
			}
			rounds, err := asked.rounds(ctx)
			if err != nil {
				continue
			}
			for _, r := range rounds {
				if r.Created >= l.marked.UnixMilli() && (first.Created == 0 || r.Created < first.Created) {
					first = r
				}
			}
		}
		return first.Created > 0
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	if err != nil {
		l.found(s, "the first aggregate counts their work", false, "there was none")
		return nil
	}
	var text []string
	ok := true
	for _, subject := range list {
		at := slices.IndexFunc(first.Inputs, func(in api.Input) bool { return in.Author == subject.id })
		if at < 0 || first.Inputs[at].Round <= l.bases[subject.Name()]+1 {
			ok = false
		}
		if at < 0 {
			text = append(text, subject.Name()+" nothing")
		} else {
			text = append(text, fmt.Sprintf("%s its work up to round %d (weight %.2f)", subject.Name(), first.Inputs[at].Round, first.Inputs[at].Weight))
		}
	}
	l.found(s, "the first aggregate counts their work", ok, "round %d has of %s", first.Round, strings.Join(text, ", of "))
	return nil
}

// expectOnce: every round has one aggregate that counts, the same on all nodes, and no delta is counted twice.
func (l *lab) expectOnce(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	histories := make([][]api.Round, len(list))
	shortest := uint64(1 << 62)
	for i, subject := range list {
		if histories[i], err = subject.rounds(ctx); err != nil {
			return err
		}
		n := len(histories[i])
		if n == 0 {
			l.found(s, "no round is counted twice", false, "%s knows of no round", subject.Name())
			return nil
		}
		shortest = min(shortest, histories[i][n-1].Round)
	}
	wins := map[uint64]map[string]int{} // nodes that count an aggregate of a round
	inputs := 0
	var wrong []string
	for i, history := range histories {
		counted := map[string]uint64{}
		for _, r := range history {
			if r.Round < shortest { // the last one may still be in dispute between two super-peers
				if wins[r.Round] == nil {
					wins[r.Round] = map[string]int{}
				}
				wins[r.Round][r.Aggregate]++
			}
			for _, in := range r.Inputs {
				if before, twice := counted[in.Delta]; twice {
					wrong = append(wrong, fmt.Sprintf("%s: delta %.16s is counted in rounds %d and %d", list[i].Name(), in.Delta, before, r.Round))
				}
				counted[in.Delta] = r.Round
			}
		}
		inputs = max(inputs, len(counted))
	}
	skipped := 0
	for round := range shortest {
		switch n := len(wins[round]); {
		case n == 0:
			skipped++ // edges went on without a super-peer, and further than that
		case n > 1:
			wrong = append(wrong, fmt.Sprintf("round %d has %d aggregates that count", round, n))
		default:
			for _, nodes := range wins[round] {
				if nodes < len(list) {
					wrong = append(wrong, fmt.Sprintf("round %d counts on %d of %d nodes", round, nodes, len(list)))
				}
			}
		}
	}
	if len(wrong) > 0 {
		l.found(s, "no round is counted twice", false, "%s", listed(wrong))
		return nil
	}
	text := fmt.Sprintf("rounds 0 to %d have one aggregate each, the same on %d nodes; %d deltas counted, each once", int64(shortest)-1, len(list), inputs)
	if skipped > 0 {
		text += fmt.Sprintf("; %d rounds that edges did by themselves have none", skipped)
	}
	l.found(s, "no round is counted twice", true, "%s", text)
	return nil
}
