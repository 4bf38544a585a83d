package testnet

import (
	"context"

	"github.com/mlecs/mlecs/node/api"
)

// Node is one node of a testnet, whatever it runs in. Its home outlives it: a stopped or killed node can be started again.
// Methods may be called from several goroutines.
type Node interface {
	Name() string
	Role() string
	Home() string
	Log() string // file with all that the node's runs logged

	// Join makes the home a member by an invite token. The node must not run.
	Join(ctx context.Context, token string) error

	// Start returns when the control API answers, or the node has ended before it did: then the error says why. The end of ctx makes
	// Start give up and the node end; once started the node does not depend on ctx.
	Start(ctx context.Context) error

	// Stop ends the node cleanly and waits for it; after ctx it is killed. Stopping a node that does not run does nothing.
	Stop(ctx context.Context) error

	// Kill ends the node without giving it time for anything (SIGKILL), and waits for it.
	Kill() error

	// PID is that of the process that the node runs in, 0 if it does not run.
	PID() int

	// Exited is closed when the node that Start started has ended; nil before the first Start. Err then tells how: nil after a clean stop.
	Exited() <-chan struct{}
	Err() error

	// API connects to the running node's control API.
	API() (*api.Client, error)
}
