package chaos

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mlecs/mlecs/testnet"
)

// namespaces give every node a network of its own with one device, whose other end is a packetSwitch in this process. They have no names
// and vanish with the processes in them, whatever happens to this one. It takes root.
type namespaces struct {
	hub   *packetSwitch
	files []*os.File // of the namespaces
	next  netip.Addr
}

const (
	namespacePort   = 4001
	namespaceDevice = "mlecs0"
)

func newNamespaces(l *links) (wires, error) {
	n := &namespaces{hub: newPacketSwitch(l), next: netip.MustParseAddr("10.83.0.1")}
	// A node that nobody uses shows whether this system lets us.
	if err := n.plug("trial", &testnet.Place{}); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *namespaces) String() string { return "network namespaces, joined by a switch in this process" }

func (n *namespaces) plug(name string, p *testnet.Place) error {
	addr := n.next
	n.next = n.next.Next()
	device, space, err := openNamespace(addr)
	if err != nil {
		return fmt.Errorf("make a network for %s: %w", name, err)
	}
	n.files = append(n.files, space)
	n.hub.connect(name, addr, device)
	p.Listen = []string{fmt.Sprintf("/ip4/%s/tcp/%d", addr, namespacePort), fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", addr, namespacePort)}
	p.Run = func(start func() error) error { return inNamespace(space, start) }
	return nil
}

func (n *namespaces) close() {
	n.hub.close()
	for _, f := range n.files {
		f.Close()
	}
}

// onOwnThread runs f on a thread that ends with it: what f does to the thread's namespace stays with it.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		done <- f()
	}()
	return <-done
}

// inNamespace calls start on a thread in a network namespace. A process that it starts inherits that.
func inNamespace(space *os.File, start func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the node's network: %w", err)
		}
		return start()
	})
}

// openNamespace makes a network namespace with a device that has an address, and gives the device and the namespace.
func openNamespace(addr netip.Addr) (device, space *os.File, err error) {
	err = onOwnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		if space, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		device, err = openDevice(addr)
		return err
	})
	if err != nil && space != nil {
		err = errors.Join(err, space.Close())
	}
	return device, space, err
}

// openDevice makes a TUN device in the thread's network namespace, and brings it and loopback up.
func openDevice(addr netip.Addr) (_ *os.File, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	request, err := unix.NewIfreq(namespaceDevice)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("make device: %w", err)
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(control)
	for _, step := range []struct {
		device string
		ioctl  uint
		set    func(*unix.Ifreq) error
	}{
		{namespaceDevice, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.AsSlice()) }},
		{namespaceDevice, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{namespaceDevice, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		r, err := unix.NewIfreq(step.device)
		if err == nil {
			err = step.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(control, step.ioctl, r)
		}
		if err != nil {
			return nil, fmt.Errorf("set up %s: %w", step.device, err)
		}
	}
	return os.NewFile(uintptr(fd), namespaceDevice), nil
}
