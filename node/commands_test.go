package node

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

func validSpec(data string) FederationSpec {
	return FederationSpec{
		Name: "tiny", Data: data, Method: tinyMethod(), Share: method.DefaultShare(),
		Policy: record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000},
	}
}

func TestCreateFederationRefuses(t *testing.T) {
	dir := t.TempDir()
	rows := filepath.Join(dir, "rows")
	writeTiny(t, rows, 1, tinyRows("s", 4, 1))
	bare := filepath.Join(dir, "bare")
	bareRows := tinyRows("b", 4, 0)
	bareRows[2].target = ""
	writeTiny(t, bare, 1, bareRows)
	cases := []struct {
		name   string
		role   string
		change func(*FederationSpec)
		want   string
	}{
		{"no name", "", func(s *FederationSpec) { s.Name = "" }, "federation name"},
		{"no data", "", func(s *FederationSpec) { s.Data = "" }, "metadata.jsonl"},
		{"data that is not there", "", func(s *FederationSpec) { s.Data = filepath.Join(dir, "none") }, "none"},
		{"an id that is not there", "", func(s *FederationSpec) { s.PublicIDs = []string{"nobody"} }, `no row "nobody"`},
		{"an id twice", "", func(s *FederationSpec) { s.PublicIDs = []string{"s-dark-slow-0", "s-dark-slow-0"} }, "s-dark-slow-0"},
		{"a row without target", "", func(s *FederationSpec) { s.Data = bare }, metadataFile + ":3"},
		{"nothing shared", "", func(s *FederationSpec) { s.Share = nil }, "at least lora"},
		{"an unknown kind shared", "", func(s *FederationSpec) { s.Share = []string{"soul"} }, `"soul"`},
		{"a method out of range", "", func(s *FederationSpec) { s.Method.Batch = 0 }, "batch"},
		{"a quorum above one", "", func(s *FederationSpec) { s.Policy.Quorum = 2 }, "quorum"},
		{"no deadline", "", func(s *FederationSpec) { s.Policy.Deadline = 0 }, "deadline"},
		{"a base model that is not there", "", func(s *FederationSpec) { s.EdgeBases = []string{filepath.Join(dir, "base")} }, "base model"},
		{"a home that is an edge", "edge", func(*FederationSpec) {}, "role: super"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			h, err := Init(t.TempDir(), Config{Name: "a", Role: tc.role})
			if err != nil {
				t.Fatal(err)
			}
			spec := validSpec(rows)
			tc.change(&spec)
			_, err = h.CreateFederation(t.Context(), spec)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q in it", err, tc.want)
			}
			if _, err := h.founder(); err == nil {
				t.Error("a refused creation left a founder key")
			}
		})
	}
}

func TestMembersCannotBeginAnew(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	s := c.nodes["super"].home
	if _, err := s.CreateFederation(t.Context(), validSpec(filepath.Join(c.dir, "super-rows"))); err == nil || !strings.Contains(err.Error(), "another home") {
		t.Errorf("second creation: %v", err)
	}
	other := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	token, err := other.nodes["super"].home.Invite(t.Context(), anHour(record.RoleSuper, anywhere(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Join(t.Context(), token, nil); err == nil || !strings.Contains(err.Error(), "is a member of federation") {
		t.Errorf("joining a second federation: %v", err)
	}
}

// anywhere is an address to put into a token.
func anywhere(t *testing.T) string { return "/ip4/127.0.0.1/tcp/9/p2p/" + idOf(t, 7).String() }

func TestInvite(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	s := c.nodes["super"].home
	plain, err := Init(filepath.Join(c.dir, "plain"), Config{Name: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name      string
		home      *Home
		role      record.Role
		valid     time.Duration
		bootstrap []string
		want      string
	}{
		{"a home without the founder key", plain, record.RoleEdge, time.Hour, []string{anywhere(t)}, "founder key"},
		{"a role that is none", s, "king", time.Hour, []string{anywhere(t)}, "edge or super"},
		{"no time at all", s, record.RoleEdge, 0, []string{anywhere(t)}, "ten years"},
		{"a time that overflows", s, record.RoleEdge, 1<<63 - 1, []string{anywhere(t)}, "ten years"},
		{"no address yet", s, record.RoleEdge, time.Hour, nil, "start it first"},
		{"an address that is none", s, record.RoleEdge, time.Hour, []string{"here"}, "here"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.home.Invite(t.Context(), api.InviteRequest{Role: string(tc.role), Seconds: int64(tc.valid / time.Second), Bootstrap: tc.bootstrap}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
	text, err := s.Invite(t.Context(), anHour(record.RoleEdge, anywhere(t)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := p2p.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	if role, err := checkInvite(token, Config{}); err != nil || role != record.RoleEdge {
		t.Errorf("the token is for %q (%v), want edge", role, err)
	}
}

func TestJoinRefusesBeforeTheTokenIsUsed(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	token, err := c.nodes["super"].home.Invite(t.Context(), anHour(record.RoleEdge, anywhere(t)))
	if err != nil {
		t.Fatal(err)
	}
	rows := filepath.Join(c.dir, "super-rows")
	cases := []struct {
		name, token string
		cfg         Config
		want        string
	}{
		{"no token", "hello", Config{Data: rows}, "token"},
		{"another role", token, Config{Role: "super", Data: rows}, "for role edge"},
		{"no data", token, Config{}, "--data DIR"},
		{"data that is not there", token, Config{Data: "none"}, "open own data"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Name = "e"
			h, err := Init(t.TempDir(), tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Join(t.Context(), tc.token, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	member := c.nodes["super"].home
	stranger, err := Init(filepath.Join(c.dir, "stranger"), Config{Name: "stranger"})
	if err != nil {
		t.Fatal(err)
	}
	run := func(h *Home) error {
		n, err := New(h, nil)
		if err != nil {
			return err
		}
		return n.Run(t.Context())
	}
	if err := run(stranger); !errors.Is(err, errNoFederation) || !strings.Contains(err.Error(), "mlecs join") {
		t.Errorf("a home in no federation: %v", err)
	}
	cfg, err := member.Config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Role = "edge"
	if err := member.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	if err := run(member); err == nil || !strings.Contains(err.Error(), "certificate is for role super") {
		t.Errorf("a role that the certificate does not give: %v", err)
	}
	cfg.Role, cfg.Data = "super", filepath.Join(c.dir, "gone")
	if err := member.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	if err := run(member); err == nil || !strings.Contains(err.Error(), "open own data") {
		t.Errorf("a data folder that is gone: %v", err)
	}
}

func TestSecondNodeOnAHome(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Deadline: 1000})
	c.nodes["super"].start()
	n, err := New(c.nodes["super"].home, nil)
	if err != nil {
		t.Fatal(err)
	}
	var advised *api.Error
	if err := n.Run(t.Context()); !errors.As(err, &advised) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want an error with advice that says the home is in use", err)
	}
	c.nodes["super"].halt()
}

func TestSourceOfAnEmptyHome(t *testing.T) {
	h, err := Init(t.TempDir(), Config{Name: "new", Role: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	src, closeSource, err := h.Source()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource()
	s, err := src.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Running || s.Federation != "" || s.Name != "new" || s.Role != "edge" {
		t.Errorf("status %+v", s)
	}
	if _, err := src.Delta(t.Context(), "bafy"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("delta: %v, want ErrNotFound", err)
	}
	for name, ask := range map[string]func() (int, error){
		"peers":  func() (int, error) { l, err := src.Peers(t.Context()); return len(l), err },
		"rounds": func() (int, error) { l, err := src.Rounds(t.Context(), api.Window{}); return len(l), err },
		"deltas": func() (int, error) { l, err := src.Deltas(t.Context(), api.Window{}); return len(l), err },
		"models": func() (int, error) { l, err := src.Models(t.Context()); return len(l), err },
	} {
		if n, err := ask(); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if scores, err := src.Scores(t.Context()); err != nil || scores.Constant != nil {
		t.Errorf("scores: %+v, %v", scores, err)
	}
}
