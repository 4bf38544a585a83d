package method_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
)

func TestTogetherBeatsAloneAndConstant(t *testing.T) {
	// One seed's score moves by some 0.05 with nothing but rounding.
	const seeds = 4
	var together, alone, constant, cloud float64
	for seed := uint64(1); seed <= seeds; seed++ {
		s := compare(t, seed)
		t.Logf("seed %d: together %.3f, alone %.3f, constant %.3f; super-peer %.3f", seed, s.together, s.alone, s.constant, s.cloud)
		together, alone = together+s.together/seeds, alone+s.alone/seeds
		constant, cloud = constant+s.constant/seeds, cloud+s.cloud/seeds
	}
	if together < alone+0.03 || together < constant+0.1 {
		t.Errorf("edges together %.3f, alone %.3f, constant %.3f", together, alone, constant)
	}
	test := observe("test-super", 100, noise, both)
	if c := method.Constant(observe("public", publicRows, noise, both), test); cloud < c.RougeLsum+0.15 {
		t.Errorf("super-peer %.3f, constant %.3f", cloud, c.RougeLsum)
	}
}

// comparison is the mean Rouge-LSum of the edges in a federation, of their twins that train alone, of constant answers, and
// that of the super-peer.
type comparison struct{ together, alone, constant, cloud float64 }

func compare(t *testing.T, seed uint64) (s comparison) {
	ctx := context.Background()
	cfg := testConfig()
	cfg.CCLSteps, cfg.AMTSteps, cfg.AdaptSteps, cfg.CloudSteps, cfg.Seed = 30, 20, 20, 60, seed
	const private, rounds = 12, 3
	small, large := testBases(t)
	f := newFederation(t, cfg, private, method.DefaultShare())
	if _, err := method.Rounds(ctx, f.cloud, f.edges, 1, rounds); err != nil {
		t.Fatal(err)
	}
	for i, modalities := range edgeModalities {
		name := fmt.Sprintf("edge-%d", i)
		rows, test := observe(name, private, noise, modalities), observe("test-"+name, 100, noise, modalities)
		twin, err := method.NewStandalone(cfg, small, modalities, rows, cfg.CCLSteps+cfg.AMTSteps, name)
		if err != nil {
			t.Fatal(err)
		}
		for round := uint64(1); round <= rounds; round++ {
			if err := twin.Round(ctx, round, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := twin.Adapt(ctx, rounds, nil); err != nil {
			t.Fatal(err)
		}
		a, err := twin.Evaluate(ctx, test)
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.edges[i].Evaluate(ctx, test)
		if err != nil {
			t.Fatal(err)
		}
		s.together += b.RougeLsum / 3
		s.alone += a.RougeLsum / 3
		s.constant += method.Constant(rows, test).RougeLsum / 3
	}
	score, err := f.cloud.Evaluate(ctx, observe("test-super", 100, noise, both))
	if err != nil {
		t.Fatal(err)
	}
	s.cloud = score.RougeLsum
	if total, trainable := f.cloud.Params(); trainable <= 0 || total <= trainable+large.Params()-1 {
		t.Errorf("%d parameters, %d trainable", total, trainable)
	}
	return s
}

// The same seed gives the same bits for every GOMAXPROCS, and whether or not every node restarts between the rounds.
func TestSameBits(t *testing.T) {
	ctx := context.Background()
	run := func(threads int, restart bool) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		f := newFederation(t, testConfig(), 12, method.DefaultShare())
		_, err := method.Rounds(ctx, f.cloud, f.edges, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if restart {
			fresh := newFederation(t, testConfig(), 12, method.DefaultShare())
			for i, old := range f.learners() {
				var state bytes.Buffer
				if err := old.WriteState(&state); err != nil {
					t.Fatal(err)
				}
				if err := fresh.learners()[i].ReadState(&state); err != nil {
					t.Fatal(err)
				}
			}
			f = fresh
		}
		if _, err := method.Rounds(ctx, f.cloud, f.edges, 2, 2); err != nil {
			t.Fatal(err)
		}
		return f.state(t)
	}
	want := run(1, false)
	for name, got := range map[string][]byte{"two threads": run(2, false), "restart": run(1, true)} {
		if !bytes.Equal(got, want) {
			t.Errorf("%s: other bits", name)
		}
	}
}

func TestProgressCountsEveryStep(t *testing.T) {
	ctx := context.Background()
	f := newFederation(t, testConfig(), 12, method.DefaultShare())
	var seen []string
	p := func(stage string, done, total int, _ float64) {
		seen = append(seen, fmt.Sprintf("%s %d/%d", stage, done, total))
	}
	a, err := f.cloud.Round(ctx, 0, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.edges[0].Absorb(a); err != nil {
		t.Fatal(err)
	}
	if _, err := f.edges[0].Round(ctx, 1, p); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(seen, ", ")
	for _, want := range []string{"se-ccl 1/6, se-ccl 2/6, se-ccl 3/6", "se-ccl 4/6, se-ccl 5/6, se-ccl 6/6", "ccl 1/3, ccl 2/3, ccl 3/3, amt 1/3, amt 2/3, amt 3/3"} {
		if !strings.Contains(got, want) {
			t.Errorf("progress %q lacks %q", got, want)
		}
	}
}

func TestCancelledRoundsStop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFederation(t, testConfig(), 12, method.DefaultShare())
	stop := func(_ string, done, _ int, _ float64) {
		if done == 2 {
			cancel()
		}
	}
	if _, err := f.edges[0].Round(ctx, 1, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("edge: error %v", err)
	}
	if _, err := f.cloud.Round(ctx, 0, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cloud: error %v", err)
	}
	if _, err := f.edges[0].Evaluate(ctx, observe("test", 3, 0, both)); !errors.Is(err, context.Canceled) {
		t.Errorf("evaluating: error %v", err)
	}
}

func TestStatesOfOthersAreRefused(t *testing.T) {
	f := newFederation(t, testConfig(), 12, method.DefaultShare())
	var state bytes.Buffer
	if err := f.edges[0].WriteState(&state); err != nil {
		t.Fatal(err)
	}
	if err := f.cloud.ReadState(bytes.NewReader(state.Bytes())); err == nil || !strings.Contains(err.Error(), `not "mlecs state 2 cloud"`) {
		t.Errorf("a cloud read an edge's state: %v", err)
	}
	if err := f.edges[1].ReadState(bytes.NewReader(state.Bytes())); err == nil {
		t.Error("an edge read the state of one with other modalities")
	}
	if err := f.edges[0].ReadState(bytes.NewReader(state.Bytes()[:state.Len()/2])); err == nil {
		t.Error("half a state was read")
	}
}

// FuzzEdgeState: no state file panics.
func FuzzEdgeState(f *testing.F) {
	fed := newFederation(f, testConfig(), 4, method.DefaultShare())
	var state bytes.Buffer
	if err := fed.edges[1].WriteState(&state); err != nil {
		f.Fatal(err)
	}
	f.Add(state.Bytes())
	f.Add([]byte("kind"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_ = fed.edges[1].ReadState(bytes.NewReader(raw))
	})
}
