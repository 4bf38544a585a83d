package node

import (
	"net"
	"strconv"
	"strings"

	"github.com/mlecs/mlecs/storage"
)

// A listen address with port 0 gets any port the first time, and the same one ever after: other nodes remember where this one was.

// portless splits a listen address with port 0 into protocol (tcp, udp) and what is before and after the port.
func portless(addr string) (proto, before, after string, ok bool) {
	for _, proto := range []string{"tcp", "udp"} {
		if i := strings.Index(addr, "/"+proto+"/0"); i >= 0 {
			end := i + len(proto) + 3
			if rest := addr[end:]; rest == "" || rest[0] == '/' {
				return proto, addr[:end-1], rest, true
			}
		}
	}
	return "", "", "", false
}

// reusePorts puts the remembered ports, if they are free, into listen addresses with port 0.
func reusePorts(s *storage.Store, listen []string) []string {
	var ports map[string]int
	if ok, err := getJSON(s, keyPorts, &ports); err != nil || !ok {
		return listen
	}
	out := make([]string, len(listen))
	for i, addr := range listen {
		out[i] = addr
		if proto, before, after, ok := portless(addr); ok && ports[proto] > 0 && portFree(proto, ports[proto]) {
			out[i] = before + strconv.Itoa(ports[proto]) + after
		}
	}
	return out
}

func portFree(proto string, port int) bool {
	addr := ":" + strconv.Itoa(port)
	if proto == "tcp" {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		ln.Close()
		return true
	}
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	pc.Close()
	return true
}

// rememberPorts stores the ports that addrs show for protocols with just one listen address of port 0.
func rememberPorts(s *storage.Store, listen, addrs []string) error {
	asked := map[string]int{}  // listen addresses of port 0, by protocol
	fixed := map[string]bool{} // protocol/port of the others
	for _, addr := range listen {
		if proto, _, _, ok := portless(addr); ok {
			asked[proto]++
			continue
		}
		proto, port := portOf(addr)
		fixed[proto+"/"+port] = true
	}
	ports := map[string]int{}
	for _, addr := range addrs {
		proto, port := portOf(addr)
		if asked[proto] == 1 && ports[proto] == 0 && !fixed[proto+"/"+port] {
			ports[proto], _ = strconv.Atoi(port) // 0, no port, if it is none
		}
	}
	if len(ports) == 0 {
		return nil
	}
	return putJSON(s, keyPorts, ports)
}

// portOf is the protocol (tcp, udp) and the port of an address.
func portOf(addr string) (proto, port string) {
	parts := strings.Split(addr, "/")
	for i := 0; i+1 < len(parts); i++ {
		if parts[i] == "tcp" || parts[i] == "udp" {
			return parts[i], parts[i+1]
		}
	}
	return "", ""
}
