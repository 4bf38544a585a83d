package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
)

// Options of an experiment.
type Options struct {
	Setting
	Data     string   // data set folder
	Methods  []string // of method.Methods
	Seeds    []uint64
	Tuned    Tuned // hyper-parameters by method; nil: everybody's defaults
	Validate bool  // score on validation rows; test rows are not looked at
	Out      string
	Curves   int // of so many seeds the scores during the rounds are kept
	Parallel int // runs at a time; 0: one a processor

	Progress Progress // may be nil
}

// Progress hears what an experiment does. Calls come one at a time.
type Progress interface {
	// Round reports how far one run is.
	Round(method string, seed uint64, round, rounds int)
	// Done reports a run that has ended; known tells that it was read from an earlier session's file.
	Done(r Run, done, total int, known bool)
}

// runsFolder holds one file a finished run, so that an experiment that was stopped goes on where it was.
const runsFolder = "runs"

// Execute runs every method on every seed, several at a time, and writes results.json, table.md and curves into Out. Runs that an earlier
// call finished with equal settings are not repeated. When ctx ends, finished runs stay.
func Execute(ctx context.Context, opt Options) (*Results, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	set, err := data.Open(opt.Data)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(opt.Out, runsFolder), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the results: %w", err)
	}
	x := &execution{Options: opt, set: set, worlds: map[uint64]*sharedWorld{}}
	if x.content, err = contentOf(set); err != nil {
		return nil, err
	}
	if err := x.run(ctx); err != nil {
		return nil, err
	}
	res := &Results{
		Dataset:  Dataset{Name: set.Name, Path: set.Dir, Generated: set.Generated, Rows: len(set.Rows), Modalities: set.Modalities()},
		Settings: Settings{Setting: opt.Setting, Scored: opt.scored(), Config: map[string]method.Config{}},
		Runs:     x.sorted(),
	}
	for _, m := range opt.Methods {
		if res.Settings.Config[m], err = opt.Tuned.Config(m, opt.Setting, 0); err != nil {
			return nil, err
		}
	}
	res.Summary = summarise(opt.Methods, res.Runs)
	return res, res.write(opt.Out)
}

func (o *Options) validate() error {
	if err := o.Setting.Validate(); err != nil {
		return err
	}
	if len(o.Methods) == 0 || len(o.Seeds) == 0 {
		return errors.New("an experiment needs at least one method and one seed")
	}
	known := method.Methods()
	for i, m := range o.Methods {
		if !slices.Contains(known, m) {
			return fmt.Errorf("%q is no method; there are %v", m, known)
		}
		if slices.Contains(o.Methods[:i], m) {
			return fmt.Errorf("method %q is listed twice", m)
		}
	}
	for i, s := range o.Seeds {
		if slices.Contains(o.Seeds[:i], s) {
			return fmt.Errorf("seed %d is listed twice; it would count as two", s)
		}
	}
	return nil
}

func (o *Options) scored() string {
	if o.Validate {
		return "validation"
	}
	return "test"
}

// execution is one Execute.
type execution struct {
	Options
	set     *data.Set
	content string // hash of the set's rows

	mu     sync.Mutex
	done   []Run
	worlds map[uint64]*sharedWorld
}

// sharedWorld is made by the first run of its seed, and let go after the last.
type sharedWorld struct {
	once sync.Once
	w    *world
	err  error
	runs int // that still need it
}

func (x *execution) run(ctx context.Context) error {
	type job struct {
		method string
		seed   uint64
	}
	var jobs []job
	for _, seed := range x.Seeds { // by seed, so that few worlds are held at a time
		for _, m := range x.Methods {
			r, err := x.recall(m, seed)
			if err != nil {
				return err
			}
			if r != nil {
				x.finished(*r, true)
				continue
			}
			jobs = append(jobs, job{m, seed})
			if x.worlds[seed] == nil {
				x.worlds[seed] = &sharedWorld{}
			}
			x.worlds[seed].runs++
		}
	}
	workers := x.Parallel
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, j := range jobs {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := x.one(ctx, j.method, j.seed)
			if err != nil {
				return fmt.Errorf("%s, seed %d: %w", j.method, j.seed, err)
			}
			if err := x.remember(*r); err != nil {
				return err
			}
			x.finished(*r, false)
			return nil
		})
	}
	return g.Wait()
}

// one does one run.
func (x *execution) one(ctx context.Context, name string, seed uint64) (*Run, error) {
	x.mu.Lock()
	shared := x.worlds[seed]
	x.mu.Unlock()
	shared.once.Do(func() {
		shared.w, shared.err = newWorld(ctx, x.set, x.Setting, method.Default(), seed, x.Validate)
	})
	if shared.err != nil {
		return nil, shared.err
	}
	cfg, err := x.Tuned.Config(name, x.Setting, seed)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	curve := slices.Index(x.Seeds, seed) < x.Curves
	r, err := shared.w.run(ctx, name, cfg, x.Setting, curve, func(round, rounds int) {
		if x.Progress != nil {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.Progress.Round(name, seed, round, rounds)
		}
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if shared.runs--; shared.runs == 0 {
		shared.w = nil
	}
	if r != nil {
		r.Seconds = time.Since(started).Seconds()
	}
	return r, err
}

func (x *execution) finished(r Run, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = append(x.done, r)
	if x.Progress != nil {
		x.Progress.Done(r, len(x.done), len(x.Methods)*len(x.Seeds), known)
	}
}

// sorted are the runs by method in the order asked for, then by seed.
func (x *execution) sorted() []Run {
	out := slices.Clone(x.done)
	slices.SortFunc(out, func(a, b Run) int {
		if d := slices.Index(x.Methods, a.Method) - slices.Index(x.Methods, b.Method); d != 0 {
			return d
		}
		return slices.Index(x.Seeds, a.Seed) - slices.Index(x.Seeds, b.Seed)
	})
	return out
}

// contentOf is the hash of what metadata.jsonl says. The files that it names are taken to stay as they are.
func contentOf(set *data.Set) (string, error) {
	h := sha256.New()
	if err := data.EncodeRows(h, set.Rows, nil); err != nil {
		return "", fmt.Errorf("hash the data set %s: %w", set.Dir, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// file names the run by everything it depends on. Equal rows in another folder are equal data.
func (x *execution) file(name string, seed uint64) (string, error) {
	cfg, err := x.Tuned.Config(name, x.Setting, seed)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(struct {
		Setting
		Config method.Config
		Scored string
		Curve  bool
		Data   string
		Rows   string
	}{x.Setting, cfg, x.scored(), slices.Index(x.Seeds, seed) < x.Curves, x.set.Name, x.content})
	if err != nil {
		return "", fmt.Errorf("name a run: %w", err)
	}
	sum := sha256.Sum256(raw)
	return filepath.Join(x.Out, runsFolder, fmt.Sprintf("%s-%d-%s.json", name, seed, hex.EncodeToString(sum[:6]))), nil
}

// recall reads a run that was finished earlier; nil if there is none. A file that cannot be read as one is done again.
func (x *execution) recall(name string, seed uint64) (*Run, error) {
	file, err := x.file(name, seed)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an earlier run: %w", err)
	}
	var r Run
	if json.Unmarshal(raw, &r) != nil || r.Method != name || r.Seed != seed {
		return nil, nil
	}
	return &r, nil
}

func (x *execution) remember(r Run) error {
	file, err := x.file(r.Method, r.Seed)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a run: %w", err)
	}
	return writeFile(file, raw)
}

// writeFile replaces file as a whole: a reader never finds half of it.
func writeFile(file string, raw []byte) error {
	tmp := file + ".part"
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
