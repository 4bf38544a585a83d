package chaos

import (
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"time"
)

// packetSwitch forwards IPv4 packets between the network devices of the nodes, as links allows. Some kernels have no netem: here delay
// and loss are this program's own.
type packetSwitch struct {
	links *links

	mu    sync.Mutex
	ports map[netip.Addr]*port
	ended bool
	tasks sync.WaitGroup
}

// port is a node's end at the switch: whole packets are read from and written to its device.
type port struct {
	name   string
	device io.ReadWriteCloser
	late   map[string]chan latePacket // by sender: packets that are delayed, in order
}

type latePacket struct {
	due    time.Time
	packet []byte
}

const (
	maxPacket  = 1 << 16
	maxWaiting = 4096 // packets on one slow link; more are lost, as on a real one
)

func newPacketSwitch(l *links) *packetSwitch {
	return &packetSwitch{links: l, ports: map[netip.Addr]*port{}}
}

// connect begins to forward what the device's node sends.
func (s *packetSwitch) connect(name string, addr netip.Addr, device io.ReadWriteCloser) {
	p := &port{name: name, device: device, late: map[string]chan latePacket{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports[addr] = p
	s.tasks.Go(func() { s.forward(p) })
}

// forward reads a device until it is closed.
func (s *packetSwitch) forward(from *port) {
	buf := make([]byte, maxPacket)
	for {
		n, err := from.device.Read(buf)
		if err != nil {
			return
		}
		to := s.receiver(buf[:n])
		if to == nil {
			continue
		}
		delay, through := s.links.between(from.name, to.name)
		switch {
		case !through:
		case delay == 0:
			to.device.Write(buf[:n]) // a packet that a full device does not take is lost, as on any network
		default:
			s.postpone(from, to, append([]byte(nil), buf[:n]...), delay)
		}
	}
}

// receiver is the port of an IPv4 packet's destination, nil if there is none.
func (s *packetSwitch) receiver(packet []byte) *port {
	const header = 20
	if len(packet) < header || packet[0]>>4 != 4 || int(binary.BigEndian.Uint16(packet[2:])) > len(packet) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports[netip.AddrFrom4([4]byte(packet[16:20]))]
}

// postpone delivers a packet later, behind those that the same sender sent before.
func (s *packetSwitch) postpone(from, to *port, packet []byte, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	queue := to.late[from.name]
	if queue == nil {
		queue = make(chan latePacket, maxWaiting)
		to.late[from.name] = queue
		s.tasks.Go(func() {
			for late := range queue {
				time.Sleep(time.Until(late.due))
				to.device.Write(late.packet)
			}
		})
	}
	select {
	case queue <- latePacket{time.Now().Add(delay), packet}:
	default:
	}
}

// close closes all devices and waits for what is under way.
func (s *packetSwitch) close() {
	s.mu.Lock()
	s.ended = true
	for _, p := range s.ports {
		p.device.Close()
		for _, queue := range p.late {
			close(queue)
		}
	}
	s.mu.Unlock()
	s.tasks.Wait()
}
