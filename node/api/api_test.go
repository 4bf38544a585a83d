package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

// fake is a node with fixed answers.
type fake struct {
	invited api.InviteRequest
	stopped atomic.Bool
	ask     func(context.Context, *api.Rows) error // what Eval and Generate do before they answer; nil: nothing
	row     api.GenerateRequest                    // the last one, without its rows
	split   string                                 // of the last Eval
	window  api.Window                             // of the last Rounds or Deltas
	unready error
	level   string // of the log
	events  []api.Event
}

var (
	status = &api.Status{Running: true, Name: "edge-1", Role: "edge", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Modalities: []string{"image"}, Protocols: []api.ProtocolBytes{{Protocol: "/mlecs/blob/1", Sent: 1}}, Round: 2, Loss: 0.25}
	peers  = []api.Peer{{PeerID: "12D3", Role: "super", Connected: true, RTTMillis: 0.5}}
	rounds = []api.Round{{Round: 1, Inputs: []api.Input{{Delta: "bafyA", Modalities: []string{"image"}, Weight: 1}}, Metrics: map[string]float64{"loss": 1}, Components: []api.Component{}}}
	delta  = &api.Delta{CID: "bafyA", Parents: []string{"bafyB"}, Modalities: []string{"image"}, Components: []api.Component{{Name: "lora", Stored: true}}}
	scores = &api.Scores{TestRows: 3, Constant: &api.Score{RougeLsum: 0.4}, Standalone: []api.RoundScore{}, Together: []api.RoundScore{{Round: 1, Score: api.Score{RougeLsum: 0.5, ExactMatch: 0.25}}}}
)

func (f *fake) Status(context.Context) (*api.Status, error) { return status, nil }
func (f *fake) Peers(context.Context) ([]api.Peer, error)   { return peers, nil }
func (f *fake) Rounds(_ context.Context, w api.Window) ([]api.Round, error) {
	f.window = w
	return rounds, nil
}
func (f *fake) Deltas(_ context.Context, w api.Window) ([]api.Delta, error) {
	f.window = w
	return nil, nil
}
func (f *fake) LogLevels() []api.LogLevel { return []api.LogLevel{{Subsystem: "p2p", Level: f.level}} }
func (f *fake) SetLogLevel(l api.LogLevel) error {
	f.level = l.Level
	return nil
}
func (f *fake) Login(context.Context) (*api.Login, error) {
	return &api.Login{URL: "http://127.0.0.1:1/#login=x"}, nil
}
func (f *fake) Ready(context.Context) error { return f.unready }
func (f *fake) Events(ctx context.Context, after uint64) <-chan api.Event {
	c := make(chan api.Event, len(f.events)+1)
	for _, e := range f.events {
		if e.ID > after {
			c <- e
		}
	}
	context.AfterFunc(ctx, func() { close(c) })
	return c
}
func (f *fake) Delta(_ context.Context, cid string) (*api.Delta, error) {
	switch {
	case cid == delta.CID:
		return delta, nil
	case strings.HasPrefix(delta.CID, cid):
		return nil, fmt.Errorf("delta %s: %w", cid, api.ErrAmbiguous)
	}
	return nil, api.Advise(fmt.Errorf("delta %s: %w", cid, api.ErrNotFound), "see the list")
}
func (f *fake) Models(context.Context) ([]api.Model, error) { return nil, errors.New("disk on fire") }
func (f *fake) Adapter(_ context.Context, delta string) (*api.Adapter, error) {
	return &api.Adapter{Of: "delta", CID: delta, Alpha: 16, File: "/blobs/a"}, nil
}
func (f *fake) Scores(context.Context) (*api.Scores, error) { return scores, nil }
func (f *fake) GC(_ context.Context, r api.GCRequest) (*api.Swept, error) {
	return &api.Swept{KeepRounds: r.KeepRounds, Removed: 3}, nil
}
func (f *fake) Check(_ context.Context, r api.CheckRequest) (*api.Check, error) {
	return &api.Check{Faults: []api.Fault{{What: "blob", Repaired: r.Repair}}}, nil
}
func (f *fake) Backup(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "tar")
	return err
}
func (f *fake) Members(context.Context) ([]api.Member, error) { return nil, nil }
func (f *fake) Revoke(_ context.Context, r api.RevokeRequest) (*api.Member, error) {
	return &api.Member{PeerID: r.Peer, State: api.MemberRevoked, Ended: r.Reason}, nil
}
func (f *fake) ChangePolicy(_ context.Context, c api.PolicyChange) (*api.Policy, error) {
	return &api.Policy{Paused: *c.Paused, Rounds: *c.Rounds, Quorum: 1}, nil
}
func (f *fake) Renew(_ context.Context, r api.RenewRequest) (*api.Member, error) {
	return &api.Member{PeerID: r.Peer, State: api.MemberAway, Expires: r.Seconds}, nil
}
func (f *fake) RotateIdentity(context.Context) (*api.Rotation, error) {
	return &api.Rotation{Old: "12D3", New: "12D4"}, nil
}
func (f *fake) Verify(_ context.Context, cid string) (*api.Verification, error) {
	return &api.Verification{Aggregate: cid, Verdict: api.VerdictVerified, Components: []api.VerifiedComponent{}, Disputes: []api.Dispute{}}, nil
}
func (f *fake) Lineage(_ context.Context, cid string, _ int) (*api.Lineage, error) {
	return &api.Lineage{CID: cid, Records: []api.LineageRecord{{CID: cid, Kind: "delta", Parents: []string{}}}}, nil
}
func (f *fake) Records(context.Context) ([]string, error) { return []string{"bafyA", "bafyB"}, nil }
func (f *fake) Stop()                                     { f.stopped.Store(true) }
func (f *fake) Invite(_ context.Context, r api.InviteRequest) (*api.InviteReply, error) {
	f.invited = r
	if r.Role == "king" {
		return nil, fmt.Errorf("%w: role king", api.ErrBadRequest)
	}
	return &api.InviteReply{Token: "mlecs1secret"}, nil
}

func TestMembershipTravels(t *testing.T) {
	c := serve(t, t.TempDir(), &fake{})
	if list, err := c.Members(t.Context()); err != nil || list == nil {
		t.Errorf("members %v, %v", list, err)
	}
	if m, err := c.Revoke(t.Context(), api.RevokeRequest{Peer: "12D3", Reason: "lost"}); err != nil || m.PeerID != "12D3" || m.Ended != "lost" {
		t.Errorf("revoked %+v, %v", m, err)
	}
	paused, rounds := true, uint64(7)
	if p, err := c.ChangePolicy(t.Context(), api.PolicyChange{Paused: &paused, Rounds: &rounds}); err != nil || !p.Paused || p.Rounds != 7 {
		t.Errorf("policy %+v, %v", p, err)
	}
	if m, err := c.Renew(t.Context(), api.RenewRequest{Peer: "12D3", Seconds: 9}); err != nil || m.Expires != 9 {
		t.Errorf("renewed %+v, %v", m, err)
	}
	if r, err := c.RotateIdentity(t.Context()); err != nil || r.Old != "12D3" || r.New != "12D4" {
		t.Errorf("rotated %+v, %v", r, err)
	}
}

func TestUpkeepTravels(t *testing.T) {
	c := serve(t, t.TempDir(), &fake{})
	if s, err := c.GC(t.Context(), api.GCRequest{KeepRounds: 4}); err != nil || s.KeepRounds != 4 || s.Removed != 3 {
		t.Errorf("swept %+v, %v", s, err)
	}
	if h, err := c.Check(t.Context(), api.CheckRequest{Repair: true}); err != nil || len(h.Faults) != 1 || !h.Faults[0].Repaired {
		t.Errorf("check %+v, %v", h, err)
	}
	var tar strings.Builder
	if err := c.Backup(t.Context(), &tar); err != nil || tar.String() != "tar" {
		t.Errorf("backup %q, %v", tar.String(), err)
	}
}

func TestProvenanceTravels(t *testing.T) {
	c := serve(t, t.TempDir(), &fake{})
	v, err := c.Verify(t.Context(), "bafyA")
	if err != nil || v.Aggregate != "bafyA" || v.Verdict != api.VerdictVerified || v.Components == nil || v.Disputes == nil {
		t.Errorf("verification %+v, %v", v, err)
	}
	l, err := c.Lineage(t.Context(), "bafyA", 0)
	if err != nil || l.CID != "bafyA" || len(l.Records) != 1 || l.Records[0].Parents == nil {
		t.Errorf("lineage %+v, %v", l, err)
	}
	if ids, err := c.Records(t.Context()); err != nil || len(ids) != 2 || ids[1] != "bafyB" {
		t.Errorf("records %v, %v", ids, err)
	}
}

// serve runs f's API on a home and returns a client.
func serve(t *testing.T, home string, f *fake) *api.Client {
	t.Helper()
	ln, err := api.Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, ln, api.Handler(f)) }()
	c, err := api.Dial(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return c
}

func TestAnswersArriveUnchanged(t *testing.T) {
	f := &fake{}
	c, ctx := serve(t, t.TempDir(), f), t.Context()
	cases := []struct {
		name string
		ask  func() (any, error)
		want any
	}{
		{"status", func() (any, error) { return c.Status(ctx) }, status},
		{"peers", func() (any, error) { return c.Peers(ctx) }, peers},
		{"rounds", func() (any, error) { return c.Rounds(ctx, api.Window{}) }, rounds},
		{"no deltas are an empty list", func() (any, error) { return c.Deltas(ctx, api.Window{}) }, []api.Delta{}},
		{"delta", func() (any, error) { return c.Delta(ctx, "bafyA") }, delta},
		{"adapter", func() (any, error) { return c.Adapter(ctx, "bafy A&b") }, &api.Adapter{Of: "delta", CID: "bafy A&b", Alpha: 16, File: "/blobs/a"}},
		{"scores", func() (any, error) { return c.Scores(ctx) }, scores},
		{"log levels", func() (any, error) { return c.SetLogLevel(ctx, api.LogLevel{Subsystem: "p2p", Level: "debug"}) }, []api.LogLevel{{Subsystem: "p2p", Level: "debug"}}},
		{"log levels again", func() (any, error) { return c.LogLevels(ctx) }, []api.LogLevel{{Subsystem: "p2p", Level: "debug"}}},
		{"invite", func() (any, error) { return c.Invite(ctx, api.InviteRequest{Role: "edge", Seconds: 60}) }, &api.InviteReply{Token: "mlecs1secret"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.ask()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	if f.invited.Role != "edge" || f.invited.Seconds != 60 {
		t.Errorf("the node saw the invite request %+v", f.invited)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	c, ctx := serve(t, t.TempDir(), &fake{}), t.Context()
	ask := func(cid string) error { _, err := c.Delta(ctx, cid); return err }
	cases := []struct {
		name  string
		err   error
		is    error
		text  string
		avise string
	}{
		{"not found, with advice", ask("bafyZ"), api.ErrNotFound, "bafyZ", "see the list"},
		{"ambiguous prefix", ask("bafy"), api.ErrAmbiguous, "ambiguous", ""},
		{"a CID that would leave the path", ask("../status"), api.ErrNotFound, "../status", "see the list"},
		{"bad request", func() error { _, err := c.Invite(ctx, api.InviteRequest{Role: "king"}); return err }(), api.ErrBadRequest, "king", ""},
		{"other failure", func() error { _, err := c.Models(ctx); return err }(), nil, "disk on fire", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.err == nil {
				t.Fatal("no error")
			}
			if tc.is != nil && !errors.Is(tc.err, tc.is) {
				t.Errorf("%v is not %v", tc.err, tc.is)
			}
			if !strings.Contains(tc.err.Error(), tc.text) {
				t.Errorf("%q lacks %q", tc.err, tc.text)
			}
			var e *api.Error
			if !errors.As(tc.err, &e) || e.Advice != tc.avise {
				t.Errorf("advice of %v is not %q", tc.err, tc.avise)
			}
		})
	}
}

func TestStop(t *testing.T) {
	f := &fake{}
	c := serve(t, t.TempDir(), f)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !f.stopped.Load() {
		t.Error("the node was not asked to stop")
	}
}

func TestDialWithoutNode(t *testing.T) {
	if _, err := api.Dial(t.TempDir()); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}

func TestSocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("h", 90))
	for _, tc := range []struct{ name, home string }{{"short home path", t.TempDir()}, {"home path longer than a socket address", long}} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.MkdirAll(tc.home, 0o700); err != nil {
				t.Fatal(err)
			}
			ln, err := api.Listen(tc.home)
			if err != nil {
				t.Fatal(err)
			}
			path := ln.Addr().String()
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if m := info.Mode().Perm(); m != 0o600 {
				t.Errorf("socket mode %o, want 600", m)
			}
			if _, err := api.Dial(tc.home); err != nil {
				t.Errorf("dial: %v", err)
			}
			if _, err := api.Listen(tc.home); err == nil {
				t.Error("a second node on the home got the socket")
			}
			ln.Close()
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("socket left behind: %v", err)
			}
			if left, _ := os.ReadDir(tc.home); len(left) != 0 {
				t.Errorf("left in the home: %v", left)
			}
		})
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	home := t.TempDir()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, "api.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as a killed process leaves it
	ln.Close()
	serve(t, home, &fake{})
}
