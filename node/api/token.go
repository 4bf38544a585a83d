package api

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// minToken is the fewest characters of a token that somebody chose.
const minToken = 20

// ReadToken reads the token that opens the API over TCP from a file, and makes one there (0600) if there is no such file. Others than the
// file's owner and group must not be able to read it.
func ReadToken(file string) (string, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readToken(file)
	}
	if err != nil {
		return "", fmt.Errorf("make the API's token: %w", err)
	}
	token := rand.Text() + rand.Text() // 260 bits
	_, err = f.WriteString(token + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write the API's token: %w", errors.Join(err, os.Remove(file)))
	}
	return token, nil
}

func readToken(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("read the API's token: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o037 != 0 {
		return "", Advise(fmt.Errorf("the API's token in %s is open to others (mode %04o)", file, mode), "take their right away with: chmod 600 %s", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the API's token: %w", err)
	}
	token := string(bytes.TrimSpace(b))
	if len(token) < minToken {
		return "", Advise(fmt.Errorf("the API's token in %s has %d characters, fewer than %d", file, len(token), minToken), "remove the file, and a good one is made")
	}
	return token, nil
}
