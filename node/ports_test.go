package node

import (
	"net"
	"reflect"
	"strconv"
	"testing"
)

func TestPortsAreKept(t *testing.T) {
	s := newStore(t)
	listen := []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/4001"}
	if got := reusePorts(s, listen); !reflect.DeepEqual(got, listen) {
		t.Errorf("without a memory: got %v", got)
	}
	tcp, udp := freePort(t, "tcp"), freePort(t, "udp")
	addrs := []string{"/ip4/127.0.0.1/tcp/4001/p2p/X", "/ip4/127.0.0.1/tcp/" + tcp + "/p2p/X", "/ip4/127.0.0.1/udp/" + udp + "/quic-v1/p2p/X"}
	if err := rememberPorts(s, listen, addrs); err != nil {
		t.Fatal(err)
	}
	want := []string{"/ip4/127.0.0.1/tcp/" + tcp, "/ip4/127.0.0.1/udp/" + udp + "/quic-v1", "/ip4/127.0.0.1/tcp/4001"}
	if got := reusePorts(s, listen); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	taken, err := net.Listen("tcp", ":"+tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	want[0] = listen[0]
	if got := reusePorts(s, listen); !reflect.DeepEqual(got, want) {
		t.Errorf("with the TCP port taken: got %v, want %v", got, want)
	}
}

func TestPortsOfSeveralAddressesAreNotConfused(t *testing.T) {
	s := newStore(t)
	listen := []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"}
	if err := rememberPorts(s, listen, []string{"/ip4/127.0.0.1/tcp/5001", "/ip6/::1/tcp/5002"}); err != nil {
		t.Fatal(err)
	}
	if got := reusePorts(s, listen); !reflect.DeepEqual(got, listen) {
		t.Errorf("got %v, want no port reused", got)
	}
}

func freePort(t *testing.T, proto string) string {
	t.Helper()
	var addr net.Addr
	if proto == "tcp" {
		ln, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addr = ln.Addr()
	} else {
		pc, err := net.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		addr = pc.LocalAddr()
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return port
}
