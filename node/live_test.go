package node

import "testing"

func TestNodeRestsOnlyWhenNothingIsToDo(t *testing.T) {
	for name, c := range map[string]struct {
		learner, baseline string
		want              bool
	}{
		"an edge waits for the aggregate":      {phaseWaiting, "", true},
		"a super-peer waits for deltas":        {phaseCollecting, "", true},
		"the founder paused":                   {phasePaused, "", true},
		"the last round is over":               {phaseDone, "", true},
		"it learns":                            {"amt", "", false},
		"it loads its model":                   {phaseLoading, "", false},
		"the comparison uses the time to wait": {phaseWaiting, phaseBaseline, false},
	} {
		l := newLive(newEvents())
		l.enter(c.learner)
		l.compare(c.baseline, 0, 0, 0)
		if got := l.rests(); got != c.want {
			t.Errorf("%s: rests %v, want %v", name, got, c.want)
		}
	}
}
