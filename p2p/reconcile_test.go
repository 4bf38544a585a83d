package p2p_test

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/mlecs/mlecs/storage/record"
)

// Each silent member takes one of the exchanges that a node has with others at a time, and keeps it until the end of the test.
func TestSilentMembersDoNotHoldUpSyncWithOthers(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	join := func(name string) (asked chan struct{}) {
		member := f.prepare(name, record.RoleEdge) // by certificate, with software of its own
		h := rawHost(t, member.key)
		asked = make(chan struct{}, 64)
		h.SetStreamHandler("/mlecs/sync/1", func(s network.Stream) {
			defer s.Reset()
			asked <- struct{}{}
			<-hang
		})
		dial(t, h, super)
		s, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: envelopes(member.proof...)})
		if reply.Refused != "" {
			t.Fatal(reply.Refused)
		}
		send(t, s, helloDone{OK: true})
		return asked
	}
	for _, name := range []string{"first", "second", "third"} {
		asked := join(name)
		eventually(t, "the "+name+" member is asked for records", func() bool { return len(asked) > 0 })
	}
}
