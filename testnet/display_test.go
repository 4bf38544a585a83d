package testnet

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

func TestLinesSayWhatHappensAndNeverLongNothing(t *testing.T) {
	var b bytes.Buffer
	var now time.Duration
	d := newDisplay(&b, false, func() time.Duration { return now })
	views := []view{{name: "edge-1", st: &api.Status{Phase: "ccl", StepDone: 3, StepTotal: 40}}, {name: "edge-2"}, {name: "edge-3", lost: true}}

	d.progress("packing", 5, 5) // done at once: no news
	d.progress("generating", 0, 100)
	d.progress("generating", 1, 100) // too soon to tell
	now = 6 * time.Second
	d.progress("generating", 60, 100)
	d.say("round %d closed", 1)
	d.nodes(views) // something was said just before
	now = 12 * time.Second
	d.nodes(views)
	d.close()

	want := "   0.0s  generating\n" +
		"   6.0s  generating: 60 of 100\n" +
		"   6.0s  round 1 closed\n" +
		"  12.0s  edge-1 learning from public rows (CCL) 3/40; edge-2 starting; edge-3 lost\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestBarsSurviveTheirEnds(t *testing.T) {
	var b bytes.Buffer
	d := newDisplay(&b, true, func() time.Duration { return 0 })
	d.progress("generating", 1, 2)
	d.progress("pretraining", 1, 2)
	d.say("founded")
	for _, done := range []int{1, 2, 1} { // a second phase begins anew on the same bar
		d.nodes([]view{{name: "edge-1", st: &api.Status{Phase: "amt", StepDone: done, StepTotal: 2, Rounds: 3}}})
	}
	d.close()
	if !strings.Contains(b.String(), "founded") {
		t.Errorf("events are lost: %q", b.String())
	}
}

func TestNothingIsShownWithoutAPlace(t *testing.T) {
	d := newDisplay(nil, true, nil)
	d.say("anything")
	d.progress("anything", 1, 2)
	d.nodes([]view{{name: "edge-1"}})
	d.close()
}

func TestLongDomainsAreShortened(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"short", "kitchen", "kitchen"},
		{"two", "kitchen+hall", "kitchen+hall"},
		{"many", strings.Repeat("a-rather-long-room+", 5) + "end", "a-rather-long-room+a-rather-long-room+4 more"},
		{"one too long", strings.Repeat("x", 60), "1 domain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shorten(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
