package chaos

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

//go:embed scenarios/*.chaos
var builtin embed.FS

// Scenarios are the names of the built-in scripts.
func Scenarios() []string {
	entries, err := builtin.ReadDir("scenarios")
	if err != nil {
		panic(err) // embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".chaos"))
	}
	return names
}

// Load reads the script of a built-in scenario, or of a file.
func Load(name string) (*Script, error) {
	if slices.Contains(Scenarios(), name) {
		b, err := builtin.ReadFile("scenarios/" + name + ".chaos")
		if err != nil {
			return nil, fmt.Errorf("read scenario %s: %w", name, err)
		}
		return Parse(name, string(b))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, api.Advise(fmt.Errorf("%q is no scenario, and no file that can be read: %w", name, err), "the scenarios are %s", strings.Join(Scenarios(), ", "))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return nil, fmt.Errorf("read scenario %s: %w", name, err)
	}
	return Parse(name, string(b))
}

// Options of a run.
type Options struct {
	Script        *Script
	Edges, Supers int // 0: as the script says
	Seed          uint64
	Out           string    // the testnet's folder; empty: "testnet" in the mlecs home
	Exe           string    // mlecs binary; empty: this one
	Unprivileged  bool      // do without root even where it is there
	Text          io.Writer // what goes on; nil: nowhere
}

// lab is a testnet under test.
type lab struct {
	opt      Options
	setup    Setup
	net      *testnet.Testnet
	subjects []*subject // super-peers first
	dice     *rand.Rand
	links    *links
	wires    wires // nil: loopback
	disks    disks
	witness  *witness
	began    time.Time
	marked   time.Time
	bases    map[string]uint64 // rounds of the nodes at the last mark
	kills    map[string]int    // crashes, by what the node was doing
	checks   []Check
}

// Run carries out a script and stops the testnet. An error says that it could not be carried out; a check that fails is none.
func Run(ctx context.Context, opt Options) (*Verdict, error) {
	l := &lab{opt: opt, setup: opt.Script.Setup, dice: rand.New(rand.NewPCG(opt.Seed, 0xc4a05)), links: newLinks(opt.Seed), kills: map[string]int{}, began: time.Now()}
	if opt.Edges > 0 {
		l.setup.Edges = opt.Edges
	}
	if opt.Supers > 0 {
		l.setup.Supers = opt.Supers
	}
	if err := l.checkNames(opt.Script.Steps); err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.build(ctx); err != nil {
		return nil, err
	}
	err := l.steps(ctx, opt.Script.Steps)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		l.record(Check{Check: "the script can be carried out", Detail: err.Error()})
	}
	l.noteEndings()
	return &Verdict{Scenario: opt.Script.Name, Seed: opt.Seed, WallSeconds: time.Since(l.began).Seconds(), Checks: l.checks}, nil
}

// build makes the testnet, each node in its place.
func (l *lab) build(ctx context.Context) (err error) {
	o := testnet.Defaults()
	o.Nodes, o.Supers, o.Rounds = l.setup.Edges, l.setup.Supers, l.setup.Rounds
	o.Steps, o.AdaptSteps = l.setup.Steps*l.setup.Rounds, 0
	o.RowsPerHome, o.Deadline, o.Seed = l.setup.Rows, l.setup.Deadline, l.opt.Seed
	o.Tuned = experiment.Tuned{"mlecs": []byte(fmt.Sprintf(`{"batch": 4, "ccl_steps": 1, "amt_steps": %[1]d, "cloud_steps": %[1]d}`, l.setup.Steps))}
	o.Alone, o.Out, o.Exe = false, l.opt.Out, l.opt.Exe
	if o.Out == "" {
		o.Out = testnet.DefaultFolder()
	}
	if o.Out, err = filepath.Abs(o.Out); err != nil {
		return fmt.Errorf("testnet folder: %w", err)
	}
	if err := o.Validate(); err != nil {
		return err
	}
	if l.disks, err = newDisks(o.Out, l.setup.Disks, l.opt.Unprivileged); err != nil {
		return err
	}
	if l.setup.Network {
		if l.wires, err = newWires(l.links, l.opt.Unprivileged); err != nil {
			return err
		}
		l.say("links between the nodes: %s", l.wires)
	}
	places := map[string]*placement{}
	o.Place = func(name, home string) (testnet.Place, error) {
		p, err := l.place(name, home)
		places[name] = p
		if err != nil {
			return testnet.Place{}, err
		}
		return p.place, nil
	}
	if l.net, err = testnet.Start(ctx, o); err != nil {
		return err
	}
	for _, n := range l.net.Nodes() {
		subject, err := newSubject(ctx, n, places[n.Name()])
		if err != nil {
			return err
		}
		l.subjects = append(l.subjects, subject)
	}
	l.say("%d super-peers and %d edges run in %s", l.setup.Supers, l.setup.Edges, o.Out)
	l.witness = newWitness(l.subjects)
	return l.mark(ctx, Step{})
}

// placement is where a node runs, and what of that can be changed.
type placement struct {
	place testnet.Place
	shift time.Duration // of its clock
}

func (l *lab) place(name, home string) (*placement, error) {
	p := &placement{}
	p.place.Env = func() []string {
		if p.shift == 0 {
			return nil
		}
		return []string{clockVariable + "=" + p.shift.String()}
	}
	if err := l.disks.mount(name, home); err != nil {
		return p, err
	}
	if l.wires != nil {
		return p, l.wires.plug(name, &p.place)
	}
	return p, nil
}

// close stops what runs and gives back what the run took.
func (l *lab) close() {
	if l.witness != nil {
		l.witness.close()
	}
	for _, s := range l.subjects {
		s.release()
	}
	l.links.heal()
	if l.net != nil {
		if err := l.net.Stop(); err != nil {
			l.say("stop the testnet: %v", err)
		}
	}
	if l.wires != nil {
		l.wires.close()
	}
	if err := l.disks.close(); err != nil {
		l.say("%v", err)
	}
}

func (l *lab) steps(ctx context.Context, steps []Step) error {
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.Verb == "repeat" {
			for range s.Count {
				if err := l.steps(ctx, s.Body); err != nil {
					return err
				}
			}
			continue
		}
		if err := verbs[s.Verb].do(l, ctx, s); err != nil {
			return fmt.Errorf("line %d, %s %s: %w", s.Line, s.Verb, strings.Join(s.Args, " "), err)
		}
	}
	return nil
}

// record keeps a check and tells of it.
func (l *lab) record(c Check) {
	l.checks = append(l.checks, c)
	mark := "ok"
	if !c.OK {
		mark = "FAILED"
	}
	l.say("%s: %s (%s)", c.Check, mark, c.Detail)
}

// found records a check under the script's name for it, or one of its own.
func (l *lab) found(s Step, name string, ok bool, format string, args ...any) {
	if s.Label != "" {
		name = s.Label
	}
	l.record(Check{Check: name, OK: ok, Detail: fmt.Sprintf(format, args...)})
}

func (l *lab) say(format string, args ...any) {
	if l.opt.Text != nil {
		fmt.Fprintf(l.opt.Text, "%6.1f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (l *lab) announce(_ context.Context, s Step) error {
	l.say("%s", s.Args[0])
	return nil
}

func (l *lab) sleep(ctx context.Context, s Step) error {
	return rest(ctx, l.draw(s.span(0)))
}

// draw takes a duration of a range.
func (l *lab) draw(r span) time.Duration {
	return r.from + time.Duration(l.dice.Int64N(int64(r.to-r.from)+1))
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errLate says that something did not come in time; what is known of it is in what the question answered last.
var errLate = errors.New("not in time")

// until asks until the answer is yes, or time is up.
func until(ctx context.Context, patience time.Duration, ask func() bool) error {
	deadline := time.Now().Add(patience)
	for !ask() {
		if time.Now().After(deadline) {
			return errLate
		}
		if err := rest(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
