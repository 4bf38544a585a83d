package node

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ConfigKey is one key of config.yaml.
type ConfigKey struct {
	Path    string // with points, as api.listen
	About   string // a sentence for people
	Default string // as YAML; empty for a key that holds others, or that depends on the machine
}

// keyComments explain every key of Config, in its order; a test finds those that are missing.
var keyComments = [][2]string{
	{"name", "Name shown to other members; default: the host's."},
	{"role", "edge or super; empty: as the invite says."},
	{"data", "Folder with this node's own rows. Train rows stay on this node, test rows score it. Relative to this file's folder."},
	{"modalities", "Subset of the data's modalities to use; empty: all."},
	{"family", "Which of the federation's model structures an edge has: mlecs models."},
	{"domain", "Where the rows come from; informative."},
	{"baseline", "Also train a model without any exchange, to compare with."},
	{"threads", "Processor threads; 0: all."},
	{"base_dtype", "With what digits this node stores frozen base models in memory: fp32, bf16 (half the bytes), int8 (a quarter), or w8a8 (half the bytes, and training steps measured twice as fast with 3 M parameters, three times with 91 M, where the processor has AVX-512 VNNI; elsewhere int8, which doctor and the log tell)."},
	{"stream", "Names this node's random numbers; empty: its name."},
	{"keep_rounds", "For how many rounds deltas and aggregates stay on disk (checkpoints for two); 0: all. Records always stay."},
	{"disk_quota", "MiB that this folder may take; 0: no limit. Rounds are given up early, down to two, before blobs are refused; records are stored always."},
	{"renew", "On a node that may invite: renew members in the last fifth of their certificate's time, for as long again."},
	{"verify", "How much of an aggregate is recomputed before it is taken over: full, spot (one component, and what others dispute) or off."},
	{"log", "debug, info, warn or error."},
	{"otlp", "Collector of OpenTelemetry traces of rounds (OTLP over HTTP), as http://127.0.0.1:4318; empty: no traces."},
	{"api", "Control API over TCP, for the dashboard, Prometheus and other machines. The unix socket in the home needs none of it."},
	{"api.listen", "IP:PORT; empty: only once `mlecs dashboard` asks for it, then a free port of 127.0.0.1."},
	{"api.hosts", "Names that the node is asked by, beside its IP addresses and localhost; every other Host is refused."},
	{"api.token_file", "File of the token, made if it is not there; empty: api.token in the home."},
	{"api.tls_cert", "PEM file of the certificate."},
	{"api.tls_key", "PEM file of its key."},
	{"api.insecure", "Allow to listen beyond loopback without TLS, as in a container behind a proxy that encrypts."},
	{"p2p", "The network of members."},
	{"p2p.listen", "Multiaddrs to listen on; port 0 is any that is free, and kept."},
	{"p2p.announce", "Multiaddrs to tell others in place of the observed ones, as the public address of a forwarded port."},
	{"p2p.bootstrap", "Multiaddrs with /p2p/ID to dial at start and whenever peers are few."},
	{"p2p.mdns", "Find members on the local network by multicast DNS. Costs a few packets a minute; the network sees that mlecs runs here, not which federation."},
	{"p2p.dht", "Look members up at super-peers; as a super-peer, answer. Costs some KiB a minute while members are missing, and connections to super-peers on the way."},
	{"p2p.relay", "Keep places at two super-peers to be reached through them (a request an hour each); as a super-peer, give places: relayed bytes pass this machine twice."},
	{"p2p.hole_punch", "Turn relayed connections into direct ones; needs relay. Costs some packets for each relayed connection."},
	{"p2p.autonat", "Let other members try whether this node's public addresses can be dialled, and do it for them. Costs a short connection for each address and try."},
	{"p2p.port_map", "Ask the router by UPnP or NAT-PMP to forward the ports, which opens them to the internet."},
	{"p2p.limits", "What connections may take; 0 or empty is the preset's ([operating.md](operating.md))."},
	{"p2p.limits.preset", "edge, super, or local (many nodes on one machine); empty: as the node's role."},
	{"p2p.limits.members", "Dial further members while fewer are connected. Each costs about 0.3 MiB and a ping every three seconds; fewer make records take more hops."},
	{"p2p.limits.connections", "Beyond so many, peers that are no members are let go; a fifth more is never exceeded. About 0.3 MiB each."},
	{"p2p.limits.per_address", "Connections at a time from one IP address; what one stranger can hold, and what a household behind one router may need."},
	{"p2p.limits.memory_mib", "MiB of buffers of connections and streams at most; beyond, new streams are refused."},
	{"p2p.limits.files", "File descriptors of connections at most: one for each over TCP, none over QUIC."},
	{"p2p.limits.relayed", "Of a super-peer: members that keep a place here to be reached. A place costs next to nothing, what is relayed twice its bytes."},
	{"p2p.quota", "What is taken of one author by gossip; 0 is the default. Beyond it records come by sync, later."},
	{"p2p.quota.records", "Records in a round; an honest author writes two or three."},
	{"p2p.quota.bytes", "Bytes in a round, of records and of the blobs that they announce."},
	{"p2p.quota.minute_records", "Records in a minute, which may come at once. A flood costs up to so many checks and disk writes a minute, for each author; less than two a round delays honest ones."},
	{"p2p.quota.minute_bytes", "Bytes in a minute. A checkpoint announced that is larger waits for sync."},
}

// ConfigKeys are all keys of config.yaml with their defaults, in the order of the file.
func ConfigKeys() ([]ConfigKey, error) {
	c := DefaultConfig()
	c.Name = ""
	var root yaml.Node
	if err := root.Encode(c); err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	var keys []ConfigKey
	var err error
	eachKey("", &root, func(path string, _, value *yaml.Node) {
		k := ConfigKey{Path: path, About: keyComment(path)}
		if value.Kind != yaml.MappingNode {
			b, e := yaml.Marshal(value)
			if e != nil {
				err = fmt.Errorf("encode config: %w", e)
			}
			k.Default = strings.TrimSpace(string(b))
		}
		keys = append(keys, k)
	})
	return keys, err
}

func keyComment(path string) string {
	for _, kc := range keyComments {
		if kc[0] == path {
			return kc[1]
		}
	}
	return ""
}

// eachKey calls f for every key of a mapping and those in it.
func eachKey(prefix string, n *yaml.Node, f func(path string, key, value *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f(prefix+key.Value, key, value)
		if value.Kind == yaml.MappingNode {
			eachKey(prefix+key.Value+".", value, f)
		}
	}
}

// keysAdvice lists the keys that there are beside a wrong one.
func keysAdvice(wrong string) string {
	group := ""
	if i := strings.LastIndex(wrong, "."); i >= 0 {
		group = wrong[:i+1]
	}
	var names []string
	for _, kc := range keyComments {
		if name, ok := strings.CutPrefix(kc[0], group); ok && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	if group == "" {
		return "the keys are " + strings.Join(names, ", ")
	}
	return "the keys under " + strings.TrimSuffix(group, ".") + " are " + strings.Join(names, ", ")
}

// YAML is the config as mlecs writes it, each key explained.
func (c Config) YAML() ([]byte, error) {
	var root yaml.Node
	if err := root.Encode(c); err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	eachKey("", &root, func(path string, key, _ *yaml.Node) { key.HeadComment = keyComment(path) })
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	return buf.Bytes(), nil
}
