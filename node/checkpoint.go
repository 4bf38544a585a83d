package node

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mlecs/mlecs/node/api"
)

// stateSuffix ends the files in models/ that hold learners' states.
const stateSuffix = ".state"

// writeState writes a learner's state after a stage of a round into models/, durably, and returns the file's name.
func (n *Node) writeState(who string, round uint64, stage string, write func(io.Writer) error) (name string, err error) {
	dir := n.home.path(modelsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("store the state of round %d: %w", round, err)
	}
	name = fmt.Sprintf("%s-%09d-%s%s", who, round, stage, stateSuffix)
	err = writeFileFrom(filepath.Join(dir, name), write)
	if err != nil {
		return "", fmt.Errorf("store the state of round %d: %w", round, err)
	}
	return name, nil
}

// dropStates removes who's states other than keep. It is called once keep is on record; what cannot be removed is in nobody's way.
func (n *Node) dropStates(who, keep string) {
	files, _ := filepath.Glob(filepath.Join(n.home.path(modelsDir), who+"-*"+stateSuffix))
	for _, f := range files {
		if filepath.Base(f) != keep {
			os.Remove(f)
		}
	}
}

// readState reads a state that writeState wrote; an empty name is no state.
func (n *Node) readState(name string, read func(io.Reader) error) error {
	if name == "" {
		return nil
	}
	path := filepath.Join(n.home.path(modelsDir), filepath.Base(name))
	f, err := os.Open(path)
	if err != nil {
		return api.Advise(fmt.Errorf("resume: %w", err), "restore it, or join with a new home")
	}
	defer f.Close()
	if err := read(f); err != nil {
		return api.Advise(fmt.Errorf("resume from %s: %w", strings.TrimPrefix(path, n.home.Dir), err), "join with a new home")
	}
	return nil
}
