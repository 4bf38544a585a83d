package node

import "sync"

// Phases of a node beside the stages that learn/method names.
const (
	phaseStarting   = "starting"
	phaseFetching   = "fetching"
	phaseLoading    = "loading"
	phaseWaiting    = "waiting"
	phaseAbsorbing  = "absorbing"
	phaseCollecting = "collecting"
	phaseMerging    = "merging"
	phasePaused     = "paused"
	phaseEvaluating = "evaluating"
	phaseBaseline   = "baseline"
	phaseDone       = "done"
	phaseStopped    = "stopped"
	phaseDiskFull   = "disk-full" // nothing is stored, so nothing is learned, until there is space
)

// facts are what is known of a node's learner; they outlive its process.
type facts struct {
	Domain          string   `json:"domain"`
	Modalities      []string `json:"modalities"`
	ParamsTotal     int64    `json:"params_total"`
	ParamsTrainable int64    `json:"params_trainable"`
	TrainRows       int      `json:"train_rows"`
	TestRows        int      `json:"test_rows"`
	PublicRows      int      `json:"public_rows"`
	Learned         bool     `json:"learned"`  // the last round is absorbed and scored
	Compared        bool     `json:"compared"` // the standalone comparison is finished, or none is asked for
}

// work is what one part of the node is at.
type work struct {
	phase       string
	done, total int
	loss        float64
}

// live is the state of a running node that Status shows. Safe for concurrent use.
type live struct {
	mu       sync.Mutex
	facts    facts
	learner  work
	baseline work
	err      string
	alone    bool  // an edge that goes on without super-peers
	badBlobs int64 // deltas left out for content that is not what it should be
	events   *events
}

func newLive(e *events) *live { return &live{learner: work{phase: phaseStarting}, events: e} }

// enter begins a phase of the learner.
func (l *live) enter(phase string) { l.progress(phase, 0, 0, 0) }

// progress is a method.Progress of the learner.
func (l *live) progress(stage string, done, total int, loss float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learner = work{stage, done, total, loss}
	l.events.progress(l.learner)
}

// compare is the progress of the standalone comparison; an empty phase ends it.
func (l *live) compare(phase string, done, total int, loss float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.baseline = work{phase, done, total, loss}
}

// fail sets the last error of the learner, nil clears it.
func (l *live) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = ""
	if err != nil {
		l.err = err.Error()
	}
	l.events.fail(l.err)
}

// goAlone notes whether an edge goes on without super-peers.
func (l *live) goAlone(alone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alone = alone
}

func (l *live) isAlone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alone
}

func (l *live) rejectBlob() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.badBlobs++
}

// learn changes the facts, and returns them.
func (l *live) learn(change func(*facts)) facts {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.facts)
	return l.facts
}

// now tells facts, the work to show (the comparison's while the learner rests), the last error and the bad blobs.
func (l *live) now() (f facts, w work, err string, badBlobs int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w = l.learner
	if w.rests() && w.phase != phasePaused && l.baseline.phase != "" {
		w = l.baseline
	}
	return l.facts, w, l.err, l.badBlobs
}

// rests tells whether neither the learner nor the comparison has anything to do.
func (l *live) rests() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.learner.rests() && l.baseline.phase == ""
}

func (w work) rests() bool {
	switch w.phase {
	case phaseWaiting, phaseCollecting, phasePaused, phaseDone:
		return true
	}
	return false
}
