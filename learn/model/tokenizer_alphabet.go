package model

import (
	"fmt"
	"strings"
)

// alphabet is GPT-2's mapping of bytes to printable characters, in which tokens are spelled in files: printable Latin-1 bytes stand for
// themselves, the others for U+0100 and on. order lists the bytes by their characters, which is the order of their ids.
var alphabet = func() (a struct {
	char  [256]rune
	value map[rune]byte
	order [256]byte
}) {
	a.value = make(map[rune]byte, 256)
	n, next := 0, rune(0x100)
	for pass := range 2 {
		for b := range 256 {
			printable := (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae
			if printable != (pass == 0) {
				continue
			}
			a.char[b] = rune(b)
			if !printable {
				a.char[b] = next
				next++
			}
			a.value[a.char[b]] = byte(b)
			a.order[n] = byte(b)
			n++
		}
	}
	return a
}()

// spell writes bytes in the alphabet.
func spell(token string) string {
	var b strings.Builder
	for i := range len(token) {
		b.WriteRune(alphabet.char[token[i]])
	}
	return b.String()
}

// unspell is spell's inverse.
func unspell(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		v, ok := alphabet.value[r]
		if !ok {
			return "", fmt.Errorf("token %q: character %q is not of the byte-level alphabet", s, r)
		}
		b.WriteByte(v)
	}
	return b.String(), nil
}
