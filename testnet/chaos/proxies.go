package chaos

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mlecs/mlecs/testnet"
)

// proxies join the nodes without root: every node listens on an address of loopback of its own and announces a proxy's in its place. libp2p dials
// from the address that it listens on, so a proxy knows who calls. TCP only; a lost segment is one that comes later, as TCP repeats it.
type proxies struct {
	links *links
	base  [2]byte // of this process's addresses
	ends  chan struct{}
	tasks sync.WaitGroup

	mu        sync.Mutex
	names     map[netip.Addr]string // of the nodes
	listeners []net.Listener
	conns     map[net.Conn]bool
}

const (
	proxyPort = 4001
	repeated  = 200 * time.Millisecond // until TCP sends a lost segment again
)

func newProxies(l *links) (wires, error) {
	pid := os.Getpid()
	return &proxies{
		links: l, base: [2]byte{byte(1 + pid%100), byte(pid / 100 % 250)}, ends: make(chan struct{}),
		names: map[netip.Addr]string{}, conns: map[net.Conn]bool{},
	}, nil
}

func (p *proxies) String() string {
	return "proxies between the processes (no root, or no network namespaces)"
}

func (p *proxies) plug(name string, place *testnet.Place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := byte(len(p.names) + 1)
	real := netip.AddrFrom4([4]byte{127, p.base[0], p.base[1], last})
	shown := netip.AddrFrom4([4]byte{127, p.base[0] + 100, p.base[1], last})
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(shown, proxyPort).String())
	if err != nil {
		return fmt.Errorf("make a proxy for %s: %w", name, err)
	}
	p.names[real] = name
	p.listeners = append(p.listeners, ln)
	place.Listen = []string{fmt.Sprintf("/ip4/%s/tcp/%d", real, proxyPort)}
	place.Announce = []string{fmt.Sprintf("/ip4/%s/tcp/%d", shown, proxyPort)}
	p.tasks.Go(func() { p.accept(ln, name, netip.AddrPortFrom(real, proxyPort)) })
	return nil
}

func (p *proxies) accept(ln net.Listener, to string, at netip.AddrPort) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		from := p.caller(in)
		p.tasks.Go(func() { p.serve(in, from, to, at) })
	}
}

// caller is the node at the other end of a connection, "" if it is none.
func (p *proxies) caller(c net.Conn) string {
	addr, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[addr.Addr()]
}

// serve carries one connection, once the link is there.
func (p *proxies) serve(in net.Conn, from, to string, at netip.AddrPort) {
	defer p.drop(in)
	if !p.keep(in) || !p.links.passable(from, to, p.ends) {
		return
	}
	out, err := net.DialTimeout("tcp4", at.String(), 5*time.Second)
	if err != nil {
		return
	}
	defer p.drop(out)
	if !p.keep(out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(in, out, from, to) })
	both.Go(func() { p.pump(out, in, to, from) })
	both.Wait()
}

// pump copies one direction. What is under way when the link is cut waits for it, like TCP.
func (p *proxies) pump(from, to net.Conn, sender, receiver string) {
	defer to.Close()
	defer from.Close()
	late := make(chan latePacket, 256)
	var writer sync.WaitGroup
	writer.Go(func() {
		for segment := range late {
			time.Sleep(time.Until(segment.due))
			if !p.links.passable(sender, receiver, p.ends) {
				continue
			}
			if _, err := to.Write(segment.packet); err != nil {
				from.Close() // ends the reading below
			}
		}
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			delay, through := p.links.between(sender, receiver)
			if !through {
				delay += repeated
			}
			late <- latePacket{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
		}
		if err != nil {
			break
		}
	}
	close(late)
	writer.Wait()
}

// keep notes a connection for close; false if that has been.
func (p *proxies) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ends:
		return false
	default:
	}
	p.conns[c] = true
	return true
}

// drop ends a connection at once: a port that lingers could not be dialled from again, and the next proxy would not know the caller.
func (p *proxies) drop(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxies) close() {
	p.mu.Lock()
	close(p.ends)
	for _, ln := range p.listeners {
		ln.Close()
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.tasks.Wait()
}
