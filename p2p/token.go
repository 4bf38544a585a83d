package p2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/mr-tron/base58"

	"github.com/mlecs/mlecs/storage/record"
)

// Token is what `mlecs invite` prints: federation id, bootstrap addresses, the invite key and the founder's certificate for it.
type Token struct {
	Federation  cid.Cid
	Bootstrap   []string       // multiaddrs with /p2p/ID
	Key         crypto.PrivKey // invite key, Ed25519: a bearer secret
	Certificate []byte         // envelope
	Issuers     [][]byte       // certificates that it rests on, founder's first; none if the founder signed it
}

// ErrToken is wrapped by every error about the text of a token.
var ErrToken = errors.New("not a valid invite token")

const (
	tokenPrefix  = "mlecs1"
	maxTokenText = 8 << 10 // characters; reading base58 takes time that grows with the square
	maxBootstrap = 32      // addresses in a token
	checksumSize = 4       // bytes
)

// tokenPayload is what the text holds, in DAG-CBOR and followed by the first bytes of its SHA-256; the federation is in the certificate.
type tokenPayload struct {
	Bootstrap   []string `cbor:"b"`
	Seed        []byte   `cbor:"k"` // Ed25519 seed of the invite key
	Certificate []byte   `cbor:"c"`
	Issuers     [][]byte `cbor:"i,omitempty"`
}

// String is the token as text: "mlecs1" and base58, one word. It is the secret itself. A token that ParseToken would refuse gives "".
func (t Token) String() string {
	payload, err := t.encode()
	if err != nil {
		return ""
	}
	text := tokenPrefix + base58.Encode(append(payload, checksum(payload)...))
	if len(text) > maxTokenText {
		return ""
	}
	return text
}

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("federation", t.Federation), slog.Any("bootstrap", t.Bootstrap))
}

func (t Token) encode() ([]byte, error) {
	if t.Key == nil {
		return nil, errors.New("token without key")
	}
	raw, err := t.Key.Raw()
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, errors.New("token key is not Ed25519")
	}
	if _, err := t.invite(); err != nil {
		return nil, err
	}
	return record.Encode(tokenPayload{t.Bootstrap, raw[:ed25519.SeedSize], t.Certificate, t.Issuers})
}

// ParseToken reads a token's text; white space in it, such as line breaks of a mail, is ignored. It checks that the token is whole
// and fits together, not that the invite is still good: that is for the federation's peers to say. Errors wrap ErrToken.
func ParseToken(s string) (Token, error) {
	t, err := parseToken(s)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}

func parseToken(s string) (Token, error) {
	if len(s) > maxTokenText {
		return Token{}, fmt.Errorf("%d characters, at most %d are allowed", len(s), maxTokenText)
	}
	s = strings.Join(strings.FieldsFunc(s, unicode.IsSpace), "")
	text, found := strings.CutPrefix(s, tokenPrefix)
	switch {
	case s == "":
		return Token{}, errors.New("it is empty")
	case !found && strings.HasPrefix(s, "mlecs") && len(s) > len(tokenPrefix):
		return Token{}, fmt.Errorf("it begins with %.6q, this program reads %q: update mlecs, or copy the token again", s, tokenPrefix)
	case !found:
		return Token{}, fmt.Errorf("it must begin with %q: copy the whole line that `mlecs invite` printed", tokenPrefix)
	}
	for i, r := range text {
		if !strings.ContainsRune(string(base58Alphabet), r) {
			return Token{}, fmt.Errorf("character %q at position %d cannot be in a token: copy it again", r, len(tokenPrefix)+i+1)
		}
	}
	data, err := base58.Decode(text)
	if err != nil || len(data) <= checksumSize {
		return Token{}, errors.New("it is too short: the end is missing, copy it again")
	}
	payload, sum := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	if !bytes.Equal(sum, checksum(payload)) {
		return Token{}, errors.New("its checksum does not match: a character is missing or wrong, copy it again")
	}
	var p tokenPayload
	if err := record.Decode(payload, &p); err != nil {
		return Token{}, fmt.Errorf("its content cannot be read: %w", err)
	}
	return p.token()
}

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

func checksum(payload []byte) []byte {
	sum := sha256.Sum256(payload)
	return sum[:checksumSize]
}

func (p *tokenPayload) token() (Token, error) {
	if len(p.Seed) != ed25519.SeedSize {
		return Token{}, fmt.Errorf("its key has %d bytes, want %d", len(p.Seed), ed25519.SeedSize)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(p.Seed))
	if err != nil {
		return Token{}, fmt.Errorf("its key: %w", err)
	}
	t := Token{Bootstrap: p.Bootstrap, Key: key, Certificate: p.Certificate, Issuers: p.Issuers}
	invite, err := t.invite()
	if err != nil {
		return Token{}, err
	}
	t.Federation = invite.Federation
	return t, nil
}

// invite opens the certificate and checks that it is one for the key.
func (t Token) invite() (*record.Signed, error) {
	s, err := record.Open(t.Certificate)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	body, err := record.BodyAs[record.Certificate](s)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	id, err := peer.IDFromPrivateKey(t.Key)
	if err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	if !body.Invite || body.Subject != id {
		return nil, errors.New("its certificate is not an invite for its key")
	}
	if len(t.Issuers) > maxChain-2 {
		return nil, fmt.Errorf("its certificate rests on %d others, at most %d are allowed", len(t.Issuers), maxChain-2)
	}
	if err := checkBootstrap(t.Bootstrap); err != nil {
		return nil, err
	}
	return s, nil
}

func checkBootstrap(addrs []string) error {
	if len(addrs) == 0 || len(addrs) > maxBootstrap {
		return fmt.Errorf("%d bootstrap addresses, want 1 to %d", len(addrs), maxBootstrap)
	}
	_, err := parsePeers("bootstrap", addrs)
	return err
}
