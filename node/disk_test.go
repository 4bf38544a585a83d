package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestDiskOfARunningNode: old rounds are swept by themselves, a backup made while the node runs gives a node that goes on, and counters
// survive restarts.
func TestDiskOfARunningNode(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 1, Deadline: 60_000})
	super := c.nodes["super"]
	super.start()
	edge := c.join("kitchen", "sensor")
	cfg, err := edge.home.Config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.KeepRounds = 1
	if err := edge.home.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	edge.start()
	edge.until("has swept", func(s *api.Status) bool {
		return s.Round >= 2 && strings.Contains(edge.logs.String(), "garbage collected")
	})
	if swept, err := super.home.GC(t.Context(), 1); err != nil || swept.KeepRounds != 1 || swept.Removed == 0 || swept.Kept == 0 {
		t.Errorf("swept by hand %+v, %v", swept, err)
	}
	if _, err := super.home.GC(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "--keep-rounds") {
		t.Errorf("sweeping a node that keeps all: %v", err)
	}
	file := filepath.Join(t.TempDir(), "kitchen.tar")
	size, err := edge.home.Backup(t.Context(), file)
	if err != nil || size == 0 {
		t.Fatalf("backup of %d bytes, %v", size, err)
	}
	if _, err := edge.home.Backup(t.Context(), file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("backup over a backup: %v", err)
	}
	for _, m := range []*member{super, edge} {
		if check, err := m.home.Check(t.Context(), false); err != nil || check.Records == 0 || check.Blobs == 0 || len(check.Faults) != 0 {
			t.Errorf("%s while it runs: %+v, %v", m.home.Dir, check, err)
		}
	}
	before := edge.until("counts bytes", func(s *api.Status) bool { return s.BytesReceived > 0 })
	edge.halt()

	restored, _, err := Restore(t.Context(), file, filepath.Join(c.dir, "restored"))
	if err != nil {
		t.Fatal(err)
	}
	again := &member{t: t, home: restored, logs: &logBuffer{}}
	again.start()
	again.until("goes on", func(s *api.Status) bool { return s.Round > before.Round+1 })
	if s := again.until("answers", func(*api.Status) bool { return true }); s.PeerID != before.PeerID || s.BytesReceived == 0 {
		t.Errorf("the restored node is %+v", s)
	}
	again.halt()
	super.halt()
	checkOneDeltaARoundOf(t, super, before.PeerID)
	if _, _, err := Restore(t.Context(), file, restored.Dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored over a home: %v", err)
	}
}

// TestQuotaOfANode: a node that has used up its quota says so, stores and learns nothing, and goes on once it may take more.
func TestQuotaOfANode(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 1, Deadline: 60_000})
	super := c.nodes["super"]
	super.start()
	edge := c.join("kitchen", "sensor")
	cfg, err := edge.home.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, quota := range []int64{1, 0} {
		cfg.DiskQuota = quota
		if err := edge.home.WriteConfig(cfg); err != nil {
			t.Fatal(err)
		}
		edge.start()
		if quota == 0 {
			edge.until("learns again", func(s *api.Status) bool { return s.Round >= 1 && s.Phase != phaseDiskFull && s.DiskQuota == 0 })
		} else {
			s := edge.until("is full", func(s *api.Status) bool { return s.Phase == phaseDiskFull })
			if s.DiskQuota != 1<<20 || s.DiskBytes <= s.DiskQuota || s.DiskFree == 0 || !strings.Contains(s.Error, "disk_quota") {
				t.Errorf("status at the quota: %+v", s)
			}
		}
		edge.halt()
	}
}

func checkOneDeltaARoundOf(t *testing.T, m *member, author string) {
	t.Helper()
	deltas, err := m.source().Deltas(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, d := range deltas {
		if d.Author == author && seen[d.Round] {
			t.Errorf("two deltas of round %d", d.Round)
		}
		seen[d.Round] = true
	}
}

func TestDoctorTellsOfArithmeticThatIsNotThere(t *testing.T) {
	used := kernel.Active()
	defer kernel.Use(used)
	if err := kernel.Use("portable"); err != nil {
		t.Fatal(err)
	}
	for dtype, level := range map[string]string{"fp32": FindingGood, "int8": FindingGood, "w8a8": FindingWarn} {
		f := examineArithmetic(Config{BaseDType: dtype})
		if f.Level != level || !strings.Contains(f.Text, dtype) || (level == FindingWarn) != strings.Contains(f.Text, "int8 instead") {
			t.Errorf("%s: %+v", dtype, f)
		}
	}
}

func TestDoctorsFindings(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	no := false
	self := func(m api.Member) []api.Member { m.Self = true; return []api.Member{m} }
	member := &api.Status{Federation: "bafy", FedName: "homes", Role: "edge", Running: true}
	for _, tc := range []struct {
		name   string
		got    Finding
		level  string
		advice string
	}{
		{"a good clock", examineClock(now, nil, []api.Round{{Created: now.UnixMilli()}}), FindingGood, ""},
		{"a clock that is behind", examineClock(now, nil, []api.Round{{Created: now.Add(time.Hour).UnixMilli()}}), FindingWarn, "NTP"},
		{"a clock that nobody sets", examineClock(now, &no, nil), FindingWarn, "NTP"},
		{"a full disk", examineDisk("/", 1<<20, 0, 0), FindingBad, "gc"},
		{"a fuller disk", examineDisk("/", 200<<20, 0, 0), FindingWarn, "keep-rounds"},
		{"a home near its quota", examineDisk("/", 10<<30, 95<<20, 100<<20), FindingWarn, "disk_quota"},
		{"a home within its quota", examineDisk("/", 10<<30, 50<<20, 100<<20), FindingGood, ""},
		{"little memory", examineMemory(64<<20, "edge", false, []api.Model{{Role: "edge", Bytes: 1 << 30}}), FindingWarn, "smaller base"},
		{"no federation", examineMembership(now, &api.Status{}, nil)[0], FindingBad, "mlecs join"},
		{"a revoked node", examineMembership(now, member, self(api.Member{Ended: "certificate revoked"}))[0], FindingBad, "renew"},
		{"a certificate that ends soon", examineMembership(now, member, self(api.Member{Expires: now.Unix() + 3600}))[0], FindingWarn, "mlecs renew"},
		{"a good certificate", examineMembership(now, member, self(api.Member{Expires: now.Unix() + 400*86400}))[0], FindingGood, ""},
		{"loopback only", examineReach(Config{}, &api.Status{Addrs: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3"}}), FindingWarn, "listen"},
		{"a super-peer behind NAT", examineReach(Config{}, &api.Status{Role: "super", Addrs: []string{"/ip4/192.168.1.2/tcp/1"}}), FindingWarn, "announce"},
		{"dialled by members", examineReach(Config{}, &api.Status{Reach: api.Reach{Reachable: []string{"/ip4/203.0.113.7/tcp/4001"}}}), FindingGood, ""},
		{"a super-peer behind a firewall", examineReach(Config{}, &api.Status{Role: "super", Reach: api.Reach{Unreachable: []string{"/ip4/203.0.113.7/tcp/4001"}}}), FindingBad, "firewall"},
		{"an edge with places", examineReach(Config{}, &api.Status{Reach: api.Reach{Places: []string{"a", "b"}}}), FindingGood, ""},
		{"an edge behind a firewall without places", examineReach(Config{}, &api.Status{Reach: api.Reach{Unreachable: []string{"/ip4/203.0.113.7/tcp/4001"}}}), FindingWarn, "p2p.relay"},
		{"an edge that listens nowhere", examineReach(Config{}, &api.Status{Running: true}), FindingWarn, "p2p.listen"},
		{"a hard router", examineRouter(Config{}, &api.Status{Reach: api.Reach{NAT: "hard"}}), FindingWarn, "port_map"},
		{"an easy router", examineRouter(Config{}, &api.Status{Reach: api.Reach{NAT: "easy"}}), FindingGood, ""},
		{"nobody in reach", examinePeers(member, []api.Member{{State: api.MemberAway}}), FindingBad, "bootstrap"},
		{"no super-peer in reach", examinePeers(member, []api.Member{{State: api.MemberConnected, Role: "edge"}}), FindingWarn, "super-peer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got.Level != tc.level || !strings.Contains(tc.got.Advice, tc.advice) || tc.level == FindingGood && tc.got.Advice != "" {
				t.Errorf("got %+v, want level %s with advice %q", tc.got, tc.level, tc.advice)
			}
		})
	}
}

// TestFullSuperPeerStandsAside: the rounds of a super-peer without room fall to another one at once, not after their deadline, and it leads again when
// there is room.
func TestFullSuperPeerStandsAside(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 1, Deadline: 300_000}) // far beyond what the test takes
	first := c.nodes["super"]
	first.start()
	second := c.joinAs(record.RoleSuper, "second")
	second.start()
	edge := c.join("edge", "sensor")
	edge.start()
	edge.until("learns", func(s *api.Status) bool { return s.Round >= 1 })
	const quota = 1 << 10 // MiB
	second.halt()
	cfg, err := second.home.Config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.DiskQuota = quota
	if err := second.home.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	junk := second.home.path("junk")
	if err := os.WriteFile(junk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(junk, 2*quota<<20); err != nil { // a hole: it takes nothing
		t.Fatal(err)
	}
	second.start()
	full := second.until("is full", func(s *api.Status) bool { return s.Phase == phaseDiskFull })
	last := edge.until("answers", func(*api.Status) bool { return true }).Round
	edge.until("learns on", func(s *api.Status) bool { return s.Round >= last+8 })
	rounds, err := edge.source().Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rounds {
		if r.Round > last+2 && r.Leader == full.PeerID {
			t.Errorf("round %d was closed by the super-peer without room", r.Round)
		}
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	edge.until("has a round of the second super-peer", func(s *api.Status) bool {
		rounds, err := edge.source().Rounds(t.Context(), api.Window{})
		return err == nil && slices.ContainsFunc(rounds, func(r api.Round) bool { return r.Round > last+8 && r.Leader == full.PeerID })
	})
	for _, m := range c.nodes {
		m.halt()
	}
}
