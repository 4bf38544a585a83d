package testnet_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/testnet"
)

// processes asks for the end-to-end tests with real processes: `go test ./testnet -processes`.
var processes = flag.Bool("processes", false, "run the end-to-end tests with real processes")

// reportPath names a report of `mlecs testnet run` to be checked.
var reportPath = flag.String("report", "", "report.json of a default run, to be checked")

// TestMain lets the test binary stand for mlecs: nodes as processes are this binary, called as `BINARY start --home HOME` or
// `BINARY join - --home HOME`.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && (os.Args[1] == "start" || os.Args[1] == "join") {
		if err := command(os.Args[1], os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, "mlecs:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(name, home string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	h, err := node.OpenHome(home)
	if err != nil {
		return err
	}
	if name == "join" {
		token, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return err
		}
		return h.Join(ctx, strings.TrimSpace(token), nil)
	}
	ctx, cancel := testnet.Leash(ctx)
	defer cancel()
	return node.Serve(ctx, h, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// tiny is a testnet that runs in seconds: it learns next to nothing.
func tiny(t *testing.T) testnet.Options {
	t.Helper()
	o := testnet.Defaults()
	o.Out = t.TempDir() + "/net"
	o.RowsPerHome = 24
	o.Nodes, o.Rounds, o.Steps = 2, 1, 4
	o.Tuned = batchOf(4)
	return o
}

// batchOf sets the rows of a step.
func batchOf(n int) experiment.Tuned {
	return experiment.Tuned{"mlecs": json.RawMessage(fmt.Sprintf(`{"batch": %d}`, n))}
}

// within polls until ok, and fails after a minute.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still waiting for: %s", what)
		}
	}
}
