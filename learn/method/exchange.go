package method

import (
	"crypto/sha256"
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Progress reports steps done within one stage of the current round's work ("ccl", "amt", "mma", "se-ccl", "teaching", "baseline"), with
// the loss of the last step; called from the goroutine that trains. May be nil.
type Progress func(stage string, done, total int, loss float64)

// Delta is what an edge yields.
type Delta struct {
	Round      uint64              // trained in; it started from the aggregate of the round before
	Modalities []string            // names, sorted
	Rows       int                 // private rows
	Public     int                 // public rows with supervision
	Components []adapter.Component // as a receiver decodes them
	Blobs      []Blob              // of Components; none in a delta that came from elsewhere
	Metrics    map[string]float64
}

// Input is a delta as the cloud takes it; aggregates do not depend on the order of inputs, only the list of weights follows it.
type Input struct {
	ID         string // delta record CID, or any stable name
	Round      uint64
	Modalities []string
	Rows       int
	Parts      []Part
}

// Part is an input's version of a component. It is decoded when its turn in a sum comes.
type Part struct {
	Name, Signature string
	Digest          [sha256.Size]byte // of its blob
	// Open decodes it as an adapter.Source does; what it gives has the part's name and signature.
	Open func(d *adapter.Decoder) (adapter.Component, error)
}

// Input is the delta of an edge in the same process, under a name.
func (d *Delta) Input(id string) Input {
	in := Input{ID: id, Round: d.Round, Modalities: d.Modalities, Rows: d.Rows}
	for i, c := range d.Components {
		in.Parts = append(in.Parts, Part{c.Name, c.Signature, sha256.Sum256(d.Blobs[i].Bytes), func(*adapter.Decoder) (adapter.Component, error) {
			if err := c.Check(); err != nil {
				return c, fmt.Errorf("%w: %w", adapter.ErrUnusable, err)
			}
			return c, nil
		}})
	}
	return in
}

// Aggregate is what the cloud yields and an edge takes.
type Aggregate struct {
	Round       uint64
	Components  []Averaged
	Own         []adapter.Component // what the cloud itself put in, as a receiver decodes it; OwnBlobs are of it, and its rows OwnRows
	OwnBlobs    []Blob
	OwnRows     int
	Weights     []float64    // overall weight per input, summing to 1; 0 for an input that gave nothing usable
	Supervision *Supervision // as a receiver decodes it

	SupervisionBlob []byte // as it travels; none in an aggregate that came from elsewhere
	Metrics         map[string]float64
}

// Averaged is one aggregated component with the inputs it came from.
type Averaged struct {
	Component adapter.Component // as a receiver decodes it
	Blob      Blob              // as it travels; empty in an aggregate that came from elsewhere
	Rule      string            // Config.Rule
	Inputs    []int             // indices into the inputs; -1 is the cloud's own contribution
	Weights   []float64         // of Inputs, summing to 1
}
