package node

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// tinyMethod is a method that takes milliseconds a step.
func tinyMethod() method.Config {
	c := method.Default()
	c.Spec.Width, c.Spec.Projection, c.Spec.Fused, c.Spec.Prompt, c.Spec.Rank = 4, 8, 16, 2, 2
	c.CCLSteps, c.AMTSteps, c.CloudSteps, c.Batch, c.MaxTokens, c.SoftK = 2, 3, 3, 4, 6, 2
	c.Codec = "lowrank:0.1" // a codec of differences: receivers need what they are to
	return c
}

// tinyBases writes base models, two for families of edges and one for super-peers, as `mlecs model train` would.
func tinyBases(t *testing.T, dir string) (edge, other, super string) {
	t.Helper()
	texts := []string{"dark slow", "bright slow", "dark fast", "bright fast"}
	tok, err := model.TrainTokenizer(texts, 300)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, family model.Family, layers int) string {
		b, err := model.Pretrain(t.Context(), model.Config{Family: family, Layers: layers, Dim: 16, Heads: 2, Vocab: tok.Size(), Positions: 32, Eps: 1e-5}, tok, texts,
			model.PretrainOptions{Steps: 20, Batch: 4, LR: 1e-2, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := b.Write(&buf); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		writeFileT(t, path, buf.Bytes())
		return path
	}
	return write("edge.safetensors", model.GPT2, 1), write("other.safetensors", model.Llama, 1), write("super.safetensors", model.GPT2, 2)
}

// cluster is a federation of nodes in this process.
type cluster struct {
	t     *testing.T
	dir   string
	nodes map[string]*member
}

// member is one node of a cluster.
type member struct {
	t    *testing.T
	home *Home
	logs *logBuffer
	stop context.CancelFunc
	done chan error
}

// newCluster makes a home "super" that has created a federation of one family.
func newCluster(t *testing.T, policy record.RoundPolicy) *cluster {
	t.Helper()
	return newClusterOf(t, 1, policy)
}

func newClusterOf(t *testing.T, families int, policy record.RoundPolicy, change ...func(*method.Config)) *cluster {
	t.Helper()
	cfg := tinyMethod()
	for _, f := range change {
		f(&cfg)
	}
	c := &cluster{t: t, dir: t.TempDir(), nodes: map[string]*member{}}
	rows := filepath.Join(c.dir, "super-rows")
	writeTiny(t, rows, 1, tinyRows("s", 12, 4))
	s := c.home("super", func(cfg *Config) { cfg.Data = rows })
	edgeBase, otherBase, superBase := tinyBases(t, c.dir)
	_, err := s.home.CreateFederation(t.Context(), FederationSpec{
		Name: "tiny", Data: rows, EdgeBases: []string{edgeBase, otherBase}[:families], SuperBase: superBase, Method: cfg, Share: method.DefaultShare(), Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) home(name string, change func(*Config)) *member {
	c.t.Helper()
	cfg := Config{Name: name, Log: "debug", P2P: p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}}
	change(&cfg)
	h, err := Init(filepath.Join(c.dir, name), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{t: c.t, home: h, logs: &logBuffer{}}
	c.nodes[name] = m
	return m
}

// join makes an edge's home with own rows and joins it by a token of the super-peer.
func (c *cluster) join(name string, modalities ...string) *member {
	c.t.Helper()
	return c.joinAs(record.RoleEdge, name, modalities...)
}

func (c *cluster) joinAs(role record.Role, name string, modalities ...string) *member {
	c.t.Helper()
	return c.joinWith(role, name, func(cfg *Config) { cfg.Modalities = modalities })
}

func (c *cluster) joinWith(role record.Role, name string, change func(*Config)) *member {
	c.t.Helper()
	rows := filepath.Join(c.dir, name+"-rows")
	writeTiny(c.t, rows, uint64(len(c.nodes))+1, tinyRows(name, 8, 4))
	m := c.home(name, func(cfg *Config) {
		cfg.Role, cfg.Data, cfg.Baseline = string(role), rows, role == record.RoleEdge
		change(cfg)
	})
	token, err := c.nodes["super"].home.Invite(c.t.Context(), anHour(role))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := m.home.Join(c.t.Context(), token, nil); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// anHour asks for a token for a role.
func anHour(role record.Role, bootstrap ...string) api.InviteRequest {
	return api.InviteRequest{Role: string(role), Seconds: 3600, Bootstrap: bootstrap}
}

// start runs the node until the test ends or halt.
func (m *member) start() {
	m.t.Helper()
	log := slog.New(slog.NewTextHandler(m.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	m.stop, m.done = cancel, make(chan error, 1)
	go func() { m.done <- Serve(ctx, m.home, log) }()
	m.t.Cleanup(func() {
		cancel()
		if m.t.Failed() {
			m.t.Logf("log of %s:\n%s", m.home.Dir, m.logs)
		}
	})
	m.until("answers", func(*api.Status) bool { return true })
}

// halt stops the node and waits for its end.
func (m *member) halt() {
	m.t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		if err != nil {
			m.t.Errorf("%s: Run: %v", m.home.Dir, err)
		}
	case <-time.After(20 * time.Second):
		m.t.Fatalf("%s does not stop", m.home.Dir)
	}
}

// until polls the node's status.
func (m *member) until(what string, ok func(*api.Status) bool) *api.Status {
	m.t.Helper()
	var last *api.Status
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		select {
		case err := <-m.done:
			m.done <- err
			m.t.Fatalf("%s ended before it %s: %v", m.home.Dir, what, err)
		default:
		}
		if c, err := api.Dial(m.home.Dir); err == nil {
			last, err = c.Status(m.t.Context())
			c.Close()
			if err == nil && ok(last) {
				return last
			}
		}
	}
	m.t.Fatalf("%s: not within a minute: %s; last status %+v", m.home.Dir, what, last)
	return nil
}

func (m *member) source() api.Source {
	m.t.Helper()
	s, closeSource, err := m.home.Source()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(closeSource)
	return s
}
