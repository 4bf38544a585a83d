package chaos

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// witnessEvery is how often a node is asked what it holds.
const witnessEvery = 400 * time.Millisecond

// witness remembers which records and blobs each node ever said it holds. That is what is meant by acknowledged: the node has told
// somebody, so it must have it for good.
type witness struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu   sync.Mutex
	seen map[string]*holdings // by node
	asks int
}

type holdings struct {
	records, blobs map[string]bool
	from           uint64 // deltas of rounds before have been asked for
}

func newWitness(subjects []*subject) *witness {
	ctx, cancel := context.WithCancel(context.Background())
	w := &witness{cancel: cancel, seen: map[string]*holdings{}}
	for _, s := range subjects {
		h := &holdings{records: map[string]bool{}, blobs: map[string]bool{}}
		w.seen[s.Name()] = h
		w.wait.Go(func() { w.follow(ctx, s, h) })
	}
	return w
}

func (w *witness) close() {
	w.cancel()
	w.wait.Wait()
}

func (w *witness) follow(ctx context.Context, s *subject, h *holdings) {
	for rest(ctx, witnessEvery) == nil {
		if s.up() {
			w.hear(ctx, s, h)
		}
	}
}

// hear takes one testimony. A node that is killed meanwhile has told what it has told.
func (w *witness) hear(ctx context.Context, s *subject, h *holdings) {
	client, err := s.API()
	if err != nil {
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	if st, err := client.Status(ctx); err == nil {
		s.mu.Lock()
		s.phase = st.Phase
		s.mu.Unlock()
	}
	records, err := client.Records(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	from := h.from
	w.mu.Unlock()
	deltas, err := client.Deltas(ctx, api.Window{From: from})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asks++
	for _, id := range records {
		h.records[id] = true
	}
	if err != nil {
		return
	}
	for _, d := range deltas {
		for _, c := range d.Components {
			if c.Stored {
				h.blobs[c.CID] = true
			}
		}
		const lateness = 4 // rounds in which blobs of a delta may still arrive
		if d.Round > lateness {
			h.from = max(h.from, d.Round-lateness)
		}
	}
}

// expectKept: every node still holds all that it ever said it holds.
func (l *lab) expectKept(ctx context.Context, s Step) error {
	list, err := l.on(ctx, s)
	if err != nil {
		return err
	}
	records, blobs := 0, 0
	var lost []string
	for _, subject := range list {
		held, err := subject.records(ctx)
		if err != nil {
			return err
		}
		l.witness.mu.Lock()
		h := l.witness.seen[subject.Name()]
		missing := len(h.records)
		for _, id := range held {
			if h.records[id] {
				missing--
			}
		}
		records += len(h.records)
		gone := 0
		for id := range h.blobs {
			if _, err := os.Stat(filepath.Join(subject.Home(), "blobs", id[len(id)-2:], id)); err != nil {
				gone++
			}
		}
		blobs += len(h.blobs)
		l.witness.mu.Unlock()
		if missing+gone > 0 {
			lost = append(lost, fmt.Sprintf("%s lost %d records and %d blobs", subject.Name(), missing, gone))
		}
	}
	if len(lost) > 0 {
		l.found(s, "nothing acknowledged is lost", false, "%s", listed(lost))
		return nil
	}
	l.witness.mu.Lock()
	defer l.witness.mu.Unlock()
	ok := records > 0 && blobs > 0
	l.found(s, "nothing acknowledged is lost", ok, "%d records and %d blobs of deltas that %d nodes said they hold (asked %d times) are all there%s", records, blobs, len(list), l.witness.asks, l.moments())
	return nil
}

// moments tells at what nodes were when they crashed.
func (l *lab) moments() string {
	if len(l.kills) == 0 {
		return ""
	}
	total := 0
	var list []string
	for _, phase := range slices.Sorted(maps.Keys(l.kills)) {
		total += l.kills[phase]
		list = append(list, fmt.Sprintf("%d %s", l.kills[phase], phase))
	}
	return fmt.Sprintf("; of %d kills %s", total, strings.Join(list, ", "))
}
