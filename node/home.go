package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/node/api"
)

// Home is a node's home folder on disk.
type Home struct{ Dir string }

// Files and folders in a home.
const (
	configFile   = "config.yaml"
	identityFile = "identity.key"
	founderFile  = "founder.key"
	modelsDir    = "models"
	publicDir    = "data/public"
)

// DefaultHome is $MLECS_HOME or ~/.mlecs.
func DefaultHome() string {
	if dir := os.Getenv("MLECS_HOME"); dir != "" {
		return dir
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return ".mlecs"
	}
	return filepath.Join(user, ".mlecs")
}

// Init makes home with config.yaml and identity.key (0600). An existing identity is kept, and an error if config exists.
func Init(dir string, cfg Config) (*Home, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("init %s: %w", dir, err)
	}
	h := &Home{Dir: dir}
	if _, err := os.Lstat(h.path(configFile)); err == nil {
		return nil, api.Advise(fmt.Errorf("init %s: it has a %s already: %w", dir, configFile, fs.ErrExist), "edit that file, or choose another home")
	}
	if err := makePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	if _, err := h.identity(); errors.Is(err, fs.ErrNotExist) {
		if _, err := newKey(h.path(identityFile)); err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	// The config comes last: its presence says that the home is whole.
	if err := h.WriteConfig(cfg); err != nil {
		return nil, err
	}
	return h, nil
}

// OpenHome opens a home made by Init.
func OpenHome(dir string) (*Home, error) {
	h := &Home{Dir: dir}
	if _, err := os.Stat(h.path(configFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, api.Advise(fmt.Errorf("open home %s: no %s in it: %w", dir, configFile, err), "make the home with: mlecs init --home %s", dir)
	} else if err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return h, nil
}

// Config reads config.yaml; errors name file, line and key.
func (h *Home) Config() (Config, error) {
	path := h.path(configFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	return ParseConfig(path, b)
}

// WriteConfig replaces config.yaml atomically. Comments that a user put there are lost.
func (h *Home) WriteConfig(c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	b, err := c.YAML()
	if err != nil {
		return err
	}
	if err := writeFile(h.path(configFile), b); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	return nil
}

func (h *Home) path(name string) string { return filepath.Join(h.Dir, filepath.FromSlash(name)) }

// dataDir is the folder of the node's own rows, "" if the config names none.
func (h *Home) dataDir(c Config) string {
	if c.Data == "" || filepath.IsAbs(c.Data) {
		return c.Data
	}
	return h.path(c.Data)
}

// makePrivateDir makes dir, and makes it the owner's alone.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect folder: %w", err)
	}
	return nil
}

// writeFile replaces path by b (mode 0600) so that a crash leaves the old or the whole new content.
func writeFile(path string, b []byte) error {
	return writeFileFrom(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// writeFileFrom is writeFile for content that write yields.
func writeFileFrom(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	buf := bufio.NewWriterSize(f, 1<<20)
	err = write(buf)
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
