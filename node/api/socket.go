package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	socketName = "api.sock"
	pathName   = "api.path"
	// maxSocketPath is below sun_path of every system (104 on macOS, 108 on Linux), terminating zero included.
	maxSocketPath = 100
)

// Listen opens the control socket of home, replacing a stale one. The caller holds the lock on home; a socket that still answers is
// an error nevertheless. Closing the listener removes what Listen made.
func Listen(home string) (net.Listener, error) {
	if old, err := socketPath(home); err == nil {
		if c, err := net.DialTimeout("unix", old, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("open control socket: a node already answers on %s", old)
		}
		removeSocket(home, old)
	}
	path := filepath.Join(home, socketName)
	if len(path) <= maxSocketPath {
		return listenAt(home, path)
	}
	dir, err := os.MkdirTemp("", "mlecs-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the control socket: %w", err)
	}
	path = filepath.Join(dir, socketName)
	if len(path) > maxSocketPath {
		os.Remove(dir)
		return nil, Advise(fmt.Errorf("open control socket: the paths of home %s and of the temporary folder %s are both longer than %d bytes", home, os.TempDir(), maxSocketPath),
			"use a shorter home, or set TMPDIR to a shorter folder")
	}
	ln, err := listenAt(home, path)
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(home, pathName), []byte(path+"\n"), 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("record the control socket's path: %w", err)
	}
	return ln, nil
}

func listenAt(home, path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	// The folder is 0700, so nobody else can reach the socket in the moment before its own mode is set.
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("protect control socket: %w", err)
	}
	return &socketListener{Listener: ln, home: home, path: path}, nil
}

// socketListener removes the socket and what leads to it when closed.
type socketListener struct {
	net.Listener
	home, path string
}

func (l *socketListener) Close() error {
	err := l.Listener.Close()
	removeSocket(l.home, l.path)
	return err
}

// removeSocket removes a socket; one outside home goes with its temporary folder and api.path.
func removeSocket(home, path string) {
	os.Remove(path)
	if filepath.Dir(path) != filepath.Clean(home) {
		os.Remove(filepath.Dir(path)) // only if empty
		os.Remove(filepath.Join(home, pathName))
	}
}

// socketPath tells where the control socket of home is, or should be.
func socketPath(home string) (string, error) {
	b, err := os.ReadFile(filepath.Join(home, pathName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return filepath.Join(home, socketName), nil
	case err != nil:
		return "", fmt.Errorf("find control socket: %w", err)
	}
	path := strings.TrimSpace(string(b))
	if !filepath.IsAbs(path) || filepath.Base(path) != socketName || len(path) > maxSocketPath {
		return "", Advise(fmt.Errorf("find control socket: %s does not name one", filepath.Join(home, pathName)), "remove that file and start the node again")
	}
	return path, nil
}
