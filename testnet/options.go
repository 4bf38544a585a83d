package testnet

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node"
)

// Options of a testnet. The zero value is not valid: start from Defaults.
type Options struct {
	experiment.Setting        // Nodes are the edges; the testnet is done after Rounds
	Supers             int    // super-peers; the first founds the federation
	Data               string // data set folder; empty: one is generated
	Seed               uint64 // of the generated data, the partition, the models and every step
	Out                string // the testnet's folder; empty: "testnet" in the mlecs home
	Keep               bool   // keep data, base models and learner state after Run, so that the nodes can be started again

	RowsPerHome int              // of the generated data
	Tuned       experiment.Tuned // hyper-parameters; nil: the defaults
	Deadline    time.Duration    // a round closes with what is in after this long
	Stall       time.Duration    // give up when nothing moves for this long

	detached  bool   // nodes outlive this process
	InProcess bool   // run the nodes inside this process
	Exe       string // mlecs binary for nodes as processes; empty: this one
	Alone     bool   // also train every node's model without exchange, to compare with

	Place func(name, home string) (Place, error) // where a node's process runs; asked before its home is made. Nil: on this machine

	Dashboard func(url string) // gets a login link to the first node's page; nil: nobody wants one

	Text io.Writer // progress and results for people; nil: nowhere
	Bars bool      // Text is a terminal that can show progress bars
	JSON io.Writer // report.json goes there too; nil: nowhere
}

// Defaults is what `mlecs testnet run` does without flags: few edges with all the rows that there are. Its rounds are few and long: a
// demonstration has no time for many. Edges with so many rows of their own gain by a short adaptation to them at the end.
func Defaults() Options {
	return Options{
		Setting: experiment.Setting{Nodes: 3, Families: 1, PublicLabels: method.LabelsCloud, Rounds: 3, Steps: 600, AdaptSteps: 40},
		// Long rounds want smaller steps, and an edge that has as many public rows as private ones wants more of them on those.
		Tuned:       experiment.Tuned{"mlecs": []byte(`{"lr":0.002,"ccl_steps":80,"amt_steps":120,"cloud_steps":120}`)},
		Supers:      1,
		Alone:       true,
		Seed:        1,
		RowsPerHome: 160,
		Deadline:    60 * time.Second,
		Stall:       2 * time.Minute,
	}
}

// DefaultFolder is where a testnet lives unless told otherwise.
func DefaultFolder() string { return filepath.Join(node.DefaultHome(), "testnet") }

// Limits of a testnet on one machine: each node is a process with a model of its own.
const (
	maxNodes  = 64
	maxRounds = 10000
)

// Validate names the first option that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Nodes < 1 || o.Nodes > maxNodes:
		return fmt.Errorf("--edges %d: a testnet has 1 to %d edges", o.Nodes, maxNodes)
	case o.Supers < 1 || o.Supers > maxNodes:
		return fmt.Errorf("--supers %d: a testnet has 1 to %d super-peers", o.Supers, maxNodes)
	case o.Rounds < 1 || o.Rounds > maxRounds:
		return fmt.Errorf("--rounds %d: a testnet runs 1 to %d rounds", o.Rounds, maxRounds)
	case o.Data == "" && o.RowsPerHome < 8:
		return fmt.Errorf("%d generated rows a home are too few to split: take at least 8", o.RowsPerHome)
	case o.Stall <= 0 || o.Deadline <= 0:
		return errors.New("deadline and stall limit must be positive")
	}
	return o.Setting.Validate()
}
