package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// defaultPatience is how long an expectation may take unless the script says.
const defaultPatience = time.Minute

// on are the nodes that a line is about: all, unless it says.
func (l *lab) on(ctx context.Context, s Step) ([]*subject, error) {
	if words, ok := s.Keys["on"]; ok {
		return l.pick(ctx, words)
	}
	return slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return !s.up() }), nil
}

// await waits for a moment in a node's work; it is no check, but a script cannot go on without it.
func (l *lab) await(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	patience := s.duration("within", defaultPatience)
	deadline := time.Now().Add(patience)
	for {
		for _, subject := range list {
			if st, err := subject.status(ctx); err == nil && st.Phase == s.Args[1] {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not %s within %s", nodeNames(list), s.Args[1], patience)
		}
		if err := rest(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// expectState waits for a state that mlecs status shows.
func (l *lab) expectState(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	want, began := s.Args[1], time.Now()
	var seen string
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		var other []string
		for _, subject := range list {
			st, err := subject.status(ctx)
			switch {
			case err != nil:
				other = append(other, fmt.Sprintf("%s: %v", subject.Name(), err))
			case st.Phase != want:
				other = append(other, fmt.Sprintf("%s is %s %s", subject.Name(), st.Phase, st.Error))
			}
		}
		seen = strings.Join(other, "; ")
		return len(other) == 0
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	name := fmt.Sprintf("%s is %s", nodeNames(list), want)
	if err != nil {
		l.found(s, name, false, "%s", seen)
		return nil
	}
	l.found(s, name, true, "after %.1f s", time.Since(began).Seconds())
	return nil
}

// expectAlive: nodes that should run do, and none has ended by itself since the script began.
func (l *lab) expectAlive(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	var wrong []string
	for _, subject := range list {
		subject.noteEnding()
		subject.mu.Lock()
		wrong = append(wrong, subject.endings...)
		subject.endings = nil
		subject.mu.Unlock()
		if _, err := subject.status(ctx); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		l.found(s, "no node ends by itself", false, "%s", strings.Join(wrong, "; "))
		return nil
	}
	l.found(s, "no node ends by itself", true, "%d nodes run and answer", len(list))
	return nil
}

// noteEndings makes ends that nobody asked for, and that no line of the script looked for, a failed check.
func (l *lab) noteEndings() {
	var all []string
	for _, s := range l.subjects {
		s.noteEnding()
		s.mu.Lock()
		all = append(all, s.endings...)
		s.mu.Unlock()
	}
	if len(all) > 0 {
		l.record(Check{Check: "no node ends by itself", Detail: strings.Join(all, "; ")})
	}
}

// expectFsck reads every record and blob of the nodes.
func (l *lab) expectFsck(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	records, blobs := 0, 0
	var bytes int64
	var faults []string
	for _, subject := range list {
		c, err := examine(ctx, subject, false)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", subject.Name(), err))
			continue
		}
		records, blobs, bytes = records+c.Records, blobs+c.Blobs, bytes+c.Bytes
		for _, f := range c.Faults {
			faults = append(faults, fmt.Sprintf("%s: %s: %s", subject.Name(), f.What, f.Why))
		}
	}
	if len(faults) > 0 {
		l.found(s, "fsck is clean", false, "%s", listed(faults))
		return nil
	}
	l.found(s, "fsck is clean", true, "%d nodes, %d records and %d blobs read (%.1f MiB), no fault", len(list), records, blobs, float64(bytes)/(1<<20))
	return nil
}

// examinePatience is for reading a whole home.
const examinePatience = 2 * time.Minute

func examine(ctx context.Context, s *subject, repair bool) (*api.Check, error) {
	client, err := s.API()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()
	return client.Check(ctx, api.CheckRequest{Repair: repair})
}

// expectMended: what is damaged on a disk is found, taken away, and not there any more.
func (l *lab) expectMended(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	for _, subject := range list {
		first, err := examine(ctx, subject, true)
		if err != nil {
			return err
		}
		unrepaired := slices.DeleteFunc(slices.Clone(first.Faults), func(f api.Fault) bool { return f.Repaired })
		second, err := examine(ctx, subject, false)
		if err != nil {
			return err
		}
		ok := len(first.Faults) > 0 && len(unrepaired) == 0 && len(second.Faults) == 0
		l.found(s, subject.Name()+" mends its disk", ok, "fsck --repair found %d faults and repaired %d, %d are left", len(first.Faults), len(first.Faults)-len(unrepaired), len(second.Faults))
	}
	return nil
}

// expectSame: what any member has, all have in the end. Records that come into being meanwhile may still be under way.
func (l *lab) expectSame(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	began := time.Now()
	all := map[string]bool{}
	fewest := -1
	for _, subject := range list {
		ids, err := subject.records(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			all[id] = true
		}
		if fewest < 0 || len(ids) < fewest {
			fewest = len(ids)
		}
	}
	lacking := map[string]int{}
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		clear(lacking)
		for _, subject := range list {
			ids, err := subject.records(ctx)
			if err != nil {
				lacking[subject.Name()] = len(all)
				continue
			}
			missing := len(all)
			for _, id := range ids {
				if all[id] {
					missing--
				}
			}
			if missing > 0 {
				lacking[subject.Name()] = missing
			}
		}
		return len(lacking) == 0
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	if err != nil {
		var text []string
		for _, name := range slices.Sorted(maps.Keys(lacking)) {
			text = append(text, fmt.Sprintf("%s lacks %d", name, lacking[name]))
		}
		l.found(s, "all members hold the same records", false, "of %d records, after %.1f s: %s", len(all), time.Since(began).Seconds(), strings.Join(text, ", "))
		return nil
	}
	l.found(s, "all members hold the same records", true, "%d records on each of %d nodes after %.1f s; the least that one had before were %d", len(all), len(list), time.Since(began).Seconds(), fewest)
	return nil
}

// expectApart: nodes of the two sides are not connected to each other.
func (l *lab) expectApart(ctx context.Context, s Step) error {
	one, other, err := l.sides(ctx, s)
	if err != nil {
		return err
	}
	began := time.Now()
	var links int
	err = until(ctx, s.duration("within", defaultPatience), func() bool {
		links = 0
		for _, pair := range [][2][]*subject{{one, other}, {other, one}} {
			for _, near := range pair[0] {
				peers, err := ask(ctx, near, func(ctx context.Context, c *api.Client) ([]api.Peer, error) { return c.Peers(ctx) })
				if err != nil {
					links++
					continue
				}
				for _, p := range peers {
					if p.Connected && slices.ContainsFunc(pair[1], func(o *subject) bool { return o.id == p.PeerID }) {
						links++
					}
				}
			}
		}
		return links == 0
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	l.found(s, "the sides are apart", err == nil, "%d connections between them after %.1f s", links, time.Since(began).Seconds())
	return nil
}

// listed joins a list, shortened.
func listed(list []string) string {
	const most = 6
	if len(list) > most {
		return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
	}
	return strings.Join(list, "; ")
}
