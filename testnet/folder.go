package testnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// Files and folders of a testnet.
const (
	stateFile    = "testnet.json"
	lockFile     = "testnet.lock"
	nodesFolder  = "nodes"
	dataFolder   = "data"
	binFolder    = "bin"
	logFile      = "node.log" // in a node's home
	reportFile   = "report.json"
	markdownFile = "report.md"
	pngFile      = "curves.png"
	svgFile      = "curves.svg"
)

// Folder is testnet.json: what lives in a testnet's folder.
type Folder struct {
	Dir     string    `json:"-"`
	Version string    `json:"version"`
	Created time.Time `json:"created"`
	Data    string    `json:"data"` // data set folder
	Seed    uint64    `json:"seed"`
	Rounds  int       `json:"rounds"`
	Pruned  bool      `json:"pruned"` // data, base models and learner state are gone: nodes can be inspected, not started
	Members []Member  `json:"nodes"`
}

// Member is one node of the folder.
type Member struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	Home   string `json:"home"`
	PeerID string `json:"peer_id"`
	PID    int    `json:"pid"` // of the last process started by the testnet; 0: none
}

// OpenFolder reads the testnet in dir.
func OpenFolder(dir string) (*Folder, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Advise(fmt.Errorf("no testnet in %s", dir), "make one with `mlecs testnet run` or `mlecs testnet up`, or give its folder with --out DIR")
	}
	if err != nil {
		return nil, fmt.Errorf("open testnet: %w", err)
	}
	f := &Folder{Dir: dir}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, api.Advise(fmt.Errorf("open testnet: %s: %w", filepath.Join(dir, stateFile), err), "remove the folder and make the testnet anew")
	}
	return f, nil
}

// Member finds a node by name.
func (f *Folder) Member(name string) (*Member, error) {
	for i := range f.Members {
		if f.Members[i].Name == name {
			return &f.Members[i], nil
		}
	}
	names := make([]string, len(f.Members))
	for i, m := range f.Members {
		names[i] = m.Name
	}
	return nil, api.Advise(fmt.Errorf("testnet %s has no node %q", f.Dir, name), "its nodes are %s", strings.Join(names, ", "))
}

// LogPath is where the node's processes write.
func (m *Member) LogPath() string { return filepath.Join(m.Home, logFile) }

// save replaces testnet.json at once, so that a reader never sees half of it.
func (f *Folder) save() error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", stateFile, err)
	}
	tmp, err := os.CreateTemp(f.Dir, ".testnet-*") // 0600
	if err != nil {
		return fmt.Errorf("save testnet: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails once renamed
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("save testnet: %w", err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(f.Dir, stateFile)); err != nil {
		return fmt.Errorf("save testnet: %w", err)
	}
	return nil
}

// claim makes dir ready for a new testnet and keeps others out until release is called. A folder that is not a testnet's is refused, so is
// one whose testnet runs; a stopped testnet is replaced.
func claim(dir string) (release func(), err error) {
	if err := refuseForeign(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make testnet folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock testnet folder %s: %w", dir, err)
	}
	if !ok {
		return nil, api.Advise(fmt.Errorf("another `mlecs testnet` works in %s", dir), "wait until it ends, or take another folder with --out DIR")
	}
	release = func() { lock.Close() }
	if err := clearOld(dir); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// refuseForeign keeps the testnet away from folders that hold something else.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open testnet folder: %w", err)
	}
	ours := len(entries) == 0 || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stateFile || e.Name() == lockFile })
	if !ours {
		return api.Advise(fmt.Errorf("%s is not empty and holds no testnet", dir), "take another folder with --out DIR")
	}
	return nil
}

// clearOld removes a stopped testnet.
func clearOld(dir string) error {
	old, err := OpenFolder(dir)
	if err == nil {
		for _, m := range old.Members {
			if _, ok := m.running(); ok {
				return api.Advise(fmt.Errorf("the testnet in %s still runs (%s)", dir, m.Name), "stop it with `mlecs testnet down --out %s`", dir)
			}
		}
	}
	for _, name := range []string{stateFile, nodesFolder, dataFolder, binFolder, reportFile, markdownFile, pngFile, svgFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove the old testnet: %w", err)
		}
	}
	return nil
}

// running tells whether a process works on the home: one that answers on the control API, whoever started it, or the one that the testnet
// started and that does not answer (yet).
func (m *Member) running() (pid int, ok bool) {
	if st, err := askStatus(m.Home); err == nil {
		return st.PID, true
	}
	if m.PID > 0 && startedFor(m.PID, m.Home) {
		return m.PID, true
	}
	return 0, false
}

// openHome is the home folder of a member.
func (m *Member) openHome() (*node.Home, error) { return node.OpenHome(m.Home) }
