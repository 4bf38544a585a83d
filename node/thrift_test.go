package node

import (
	"testing"
	"time"
)

// Nodes that share a process share its memory, too: it is given back once for all of them.
func TestMemoryIsGivenBackOncePerProcess(t *testing.T) {
	at := time.Now().Add(time.Hour)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true},
		{0, false},
		{thriftEvery, false},
		{thriftRepeat * thriftEvery, true},
	} {
		if got := giveBackOnce(at.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
	lastGiven.at = time.Time{}
}
