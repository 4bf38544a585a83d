package chaos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/testnet"
)

func TestLinks(t *testing.T) {
	l := newLinks(1)
	through := func(from, to string) bool { _, ok := l.between(from, to); return ok }
	if !through("a", "b") || !through("", "b") {
		t.Error("whole links let nothing through")
	}
	l.cut([]string{"a"}, []string{"b", "c"})
	for _, pair := range [][2]string{{"a", "b"}, {"c", "a"}, {"", "a"}, {"", "b"}} {
		if through(pair[0], pair[1]) {
			t.Errorf("%q reaches %q over a cut", pair[0], pair[1])
		}
	}
	if !through("b", "c") {
		t.Error("one side is divided")
	}
	l.heal()
	if !through("a", "b") {
		t.Error("healed links let nothing through")
	}
	l.set("a", 30*time.Millisecond, 0)
	l.set("b", 20*time.Millisecond, 0)
	if delay, _ := l.between("b", "a"); delay != 50*time.Millisecond {
		t.Errorf("two slow links delay by %s", delay)
	}
	l.set("a", 0, 0.5)
	lost := 0
	for range 1000 {
		if !through("a", "c") {
			lost++
		}
	}
	if lost < 400 || lost > 600 {
		t.Errorf("a link that loses half lost %d of 1000", lost)
	}
}

func TestPassable(t *testing.T) {
	l := newLinks(1)
	l.cut([]string{"a"}, []string{"b"})
	done := make(chan struct{})
	passed := make(chan bool)
	go func() { passed <- l.passable("a", "b", done) }()
	l.set("c", time.Second, 0) // a change that does not concern them
	l.heal()
	if !<-passed {
		t.Error("a healed link is not passable")
	}
	l.cut([]string{"a"}, []string{"b"})
	go func() { passed <- l.passable("a", "b", done) }()
	close(done)
	if <-passed {
		t.Error("a cut link became passable by the end")
	}
}

// wire is a device of a node: what the switch writes to it can be read from out.
type wire struct {
	io.Reader
	out chan []byte
}

func (w wire) Write(b []byte) (int, error) {
	w.out <- bytes.Clone(b)
	return len(b), nil
}
func (w wire) Close() error { return w.Reader.(io.Closer).Close() }

// ipv4 is a packet with nothing but addresses and a payload.
func ipv4(to netip.Addr, payload string) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[16:], to.AsSlice())
	return append(b, payload...)
}

func TestPacketSwitch(t *testing.T) {
	l := newLinks(1)
	s := newPacketSwitch(l)
	addrs := map[string]netip.Addr{"a": netip.MustParseAddr("10.0.0.1"), "b": netip.MustParseAddr("10.0.0.2"), "c": netip.MustParseAddr("10.0.0.3")}
	in, out := map[string]*os.File{}, map[string]chan []byte{}
	for name, addr := range addrs {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		in[name], out[name] = w, make(chan []byte, 16)
		defer w.Close()
		s.connect(name, addr, wire{packets{r}, out[name]})
	}
	defer s.close()
	send := func(from, to, payload string) {
		t.Helper()
		writePacket(t, in[from], ipv4(addrs[to], payload))
	}
	receive := func(at, want string) {
		t.Helper()
		select {
		case got := <-out[at]:
			if string(got[20:]) != want {
				t.Errorf("%s got %q, want %q", at, got[20:], want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not get %q", at, want)
		}
	}
	send("a", "b", "hello")
	receive("b", "hello")
	writePacket(t, in["a"], []byte{0x60, 1, 2}) // no IPv4, and too short for any
	writePacket(t, in["a"], ipv4(netip.MustParseAddr("10.9.9.9"), "nobody"))
	l.cut([]string{"a"}, []string{"b", "c"})
	send("a", "b", "over the cut")
	send("c", "b", "beside it")
	receive("b", "beside it")
	l.heal()
	l.set("c", 5*time.Millisecond, 0)
	for i := range 5 {
		send("c", "a", fmt.Sprint("late ", i))
	}
	for i := range 5 {
		receive("a", fmt.Sprint("late ", i))
	}
}

// packets reads what writePacket wrote, one packet at a time.
type packets struct{ *os.File }

func (p packets) Read(b []byte) (int, error) {
	var size [2]byte
	if _, err := io.ReadFull(p.File, size[:]); err != nil {
		return 0, err
	}
	return io.ReadFull(p.File, b[:binary.BigEndian.Uint16(size[:])])
}

func writePacket(t *testing.T, w io.Writer, packet []byte) {
	t.Helper()
	if _, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		t.Fatal(err)
	}
}

func TestProxies(t *testing.T) {
	l := newLinks(1)
	w, err := newProxies(l)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	var a, b testnet.Place
	if err := w.plug("a", &a); err != nil {
		t.Skipf("this system has no addresses of loopback to spare: %v", err)
	}
	if err := w.plug("b", &b); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", tcpAddr(t, b.Listen[0]))
	if err != nil {
		t.Skipf("this system has no addresses of loopback to spare: %v", err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	from, err := netip.ParseAddrPort(tcpAddr(t, a.Listen[0]))
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.Addr(), 0)), Timeout: 10 * time.Second}
	c, err := dialer.Dial("tcp4", tcpAddr(t, b.Announce[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo := func(text string) {
		t.Helper()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	echo("through the proxy")
	l.cut([]string{"a"}, []string{"b"})
	if _, err := c.Write([]byte("held back")); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 16)); err == nil {
		t.Errorf("%d bytes came over a cut", n)
	}
	l.heal()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len("held back"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "held back" {
		t.Errorf("after healing: %q, %v", got, err)
	}
	echo("again")
}

// tcpAddr turns /ip4/A/tcp/P into A:P.
func tcpAddr(t *testing.T, multiaddr string) string {
	t.Helper()
	addr, port, ok := strings.Cut(strings.TrimPrefix(multiaddr, "/ip4/"), "/tcp/")
	if !ok {
		t.Fatalf("no TCP address: %s", multiaddr)
	}
	return net.JoinHostPort(addr, port)
}
