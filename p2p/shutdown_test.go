package p2p_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// goroutines counts those in libp2p's or this package's code.
func goroutines() (n int, stacks string) {
	buf := make([]byte, 16<<20)
	var found []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "libp2p") || strings.Contains(stack, "mlecs/p2p.") {
			found = append(found, stack)
		}
	}
	return len(found), strings.Join(found, "\n\n")
}

func TestServeLeavesNothingRunning(t *testing.T) {
	warm := found(t, "warm-up") // libp2p starts some goroutines once a process
	warm.start("node", record.RoleSuper).stop()
	f := found(t, "homes")
	var before int
	eventually(t, "goroutines of earlier tests end", func() bool {
		n, _ := goroutines()
		same := n == before
		before = n
		return same
	})

	super := f.prepare("super", record.RoleSuper)
	super.cfg.MDNS = true
	super.start()
	edge := f.start("edge", record.RoleEdge, super)
	edge.awaitConnected(super)
	edge.awaitRecord(super.publish(1))
	cancel := edge.Subscribe(func(*record.Signed) {})
	edge.stop()
	super.stop()
	cancel()
	var stacks string
	defer func() {
		if t.Failed() {
			t.Log(stacks)
		}
	}()
	eventually(t, "all goroutines have ended", func() bool {
		var n int
		n, stacks = goroutines()
		return n <= before
	})

	if err := edge.Publish(context.Background(), f.genesis); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("Publish after the end: %v", err)
	}
	if err := edge.Serve(context.Background()); err == nil {
		t.Error("served twice")
	}
	if err := edge.Close(); err != nil {
		t.Errorf("Close after the end: %v", err)
	}
}

func TestCloseWithoutServe(t *testing.T) {
	f := found(t, "homes")
	n := f.prepare("node", record.RoleEdge)
	store := openStore(t, n.home)
	must[bool](t)(store.PutRecord(f.genesis))
	net := must[*p2p.Network](t)(p2p.New(n.cfg, p2p.Deps{Key: n.key, Store: store, Federation: f.id, Proof: n.proof}))
	if len(net.Addrs()) != 2 || !strings.HasSuffix(net.Addrs()[0], "/p2p/"+net.ID().String()) {
		t.Errorf("listening on %v", net.Addrs())
	}
	if err := net.Close(); err != nil {
		t.Error(err)
	}
	if err := net.Serve(context.Background()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}
