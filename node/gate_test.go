package node

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.wait(t.Context()) // open at first
		g.close()
		g.close() // two parts of the learner at work
		passed := make(chan struct{})
		go func() {
			g.wait(t.Context())
			close(passed)
		}()
		g.open()
		synctest.Wait()
		select {
		case <-passed:
			t.Fatal("passed while one part is still at work")
		default:
		}
		g.open()
		<-passed
	})
}

func TestGateLetsGoAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.close()
		ctx, cancel := context.WithCancel(t.Context())
		passed := make(chan struct{})
		go func() {
			g.wait(ctx)
			close(passed)
		}()
		synctest.Wait()
		cancel()
		<-passed
	})
}
