package p2p_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

const bootstrapAddr = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWDAVKosfEZ6EQ9ve2KgTmpXD84uxqHhvaES6NjbrM6Pa9"

func newToken(t testing.TB) p2p.Token {
	t.Helper()
	f := found(t, "homes")
	return must[p2p.Token](t)(p2p.NewInvite(f.store, f.key, f.id, record.RoleEdge, time.Now().Add(time.Hour), []string{bootstrapAddr}))
}

func TestTokenSurvivesItsText(t *testing.T) {
	token := newToken(t)
	text := token.String()
	if !strings.HasPrefix(text, "mlecs1") || strings.ContainsAny(text, " \n-_/+=") {
		t.Errorf("text %q is not one word", text)
	}
	for _, form := range []string{text, "  " + text + "\n", text[:40] + "\r\n" + text[40:300] + "\n " + text[300:]} {
		got := must[p2p.Token](t)(p2p.ParseToken(form))
		if got.Federation != token.Federation || !got.Key.Equals(token.Key) || fmt.Sprint(got.Bootstrap) != fmt.Sprint(token.Bootstrap) ||
			string(got.Certificate) != string(token.Certificate) {
			t.Errorf("got %v", got)
		}
	}
}

func TestTokenDamageIsExplained(t *testing.T) {
	text := newToken(t).String()
	for _, c := range []struct{ name, text, want string }{
		{"empty", " \n", "empty"},
		{"another text", "hello", `must begin with "mlecs1"`},
		{"a peer address", bootstrapAddr, `must begin with "mlecs1"`},
		{"the beginning missing", text[10:], `must begin with "mlecs1"`},
		{"of a newer program", "mlecs2" + text[6:], "update mlecs"},
		{"only the prefix", "mlecs1", "too short"},
		{"the end missing", text[:len(text)-5], "checksum"},
		{"a character lost in the middle", text[:50] + text[51:], "checksum"},
		{"a character that cannot be", text[:50] + "0" + text[51:], "'0' at position 51"},
		{"a long dash from an editor", text[:50] + "—" + text[51:], "'—' at position 51"},
		{"twice", text + text, "cannot be"},
		{"huge", strings.Repeat("mlecs1", 10_000), "at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p2p.ParseToken(c.text)
			if !errors.Is(err, p2p.ErrToken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrToken with %q", err, c.want)
			}
		})
	}
}

func TestEveryWrongCharacterIsNoticed(t *testing.T) {
	text := newToken(t).String()
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(text)-1).Draw(t, "position")
		c := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "character")]
		if text[i] == c {
			t.Skip("same character")
		}
		if _, err := p2p.ParseToken(text[:i] + string(c) + text[i+1:]); !errors.Is(err, p2p.ErrToken) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestTokenStaysOutOfLogs(t *testing.T) {
	token := newToken(t)
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("invited", "token", token)
	if strings.Contains(b.String(), token.String()[6:]) || !strings.Contains(b.String(), token.Federation.String()) {
		t.Errorf("logged %s", b.String())
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken(f).String())
	f.Add("mlecs1")
	f.Add("mlecs1\n22")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := p2p.ParseToken(text)
		if err != nil {
			if !errors.Is(err, p2p.ErrToken) {
				t.Errorf("error %v does not wrap ErrToken", err)
			}
			return
		}
		again, err := p2p.ParseToken(token.String())
		if err != nil || again.Federation != token.Federation {
			t.Errorf("a parsed token does not survive: %v", err)
		}
	})
}

func TestNewInviteChecksWhatItPromises(t *testing.T) {
	f := found(t, "homes")
	hour := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name string
		make func() error
		want string
	}{
		{"no address", func() error {
			_, err := p2p.NewInvite(f.store, f.key, f.id, record.RoleEdge, hour, nil)
			return err
		}, "0 bootstrap addresses, want 1 to 32"},
		{"an address without a peer", func() error {
			_, err := p2p.NewInvite(f.store, f.key, f.id, record.RoleEdge, hour, []string{"/ip4/192.0.2.7/tcp/4001"})
			return err
		}, "/p2p/PEER-ID"},
		{"already over", func() error {
			_, err := p2p.NewInvite(f.store, f.key, f.id, record.RoleEdge, time.Now().Add(-time.Minute), []string{bootstrapAddr})
			return err
		}, "expired already"},
		{"not the founder", func() error {
			_, err := p2p.NewInvite(f.store, keyOf(t, "somebody"), f.id, record.RoleEdge, hour, []string{bootstrapAddr})
			return err
		}, "the founder of federation"},
		{"unknown role", func() error {
			_, err := p2p.NewInvite(f.store, f.key, f.id, "cook", hour, []string{bootstrapAddr})
			return err
		}, "cook"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
