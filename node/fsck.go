package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Check reads everything in the home, on a running or a stopped node.
func (h *Home) Check(ctx context.Context, repair bool) (*api.Check, error) {
	return administer(h, func(c *api.Client) (*api.Check, error) { return c.Check(ctx, api.CheckRequest{Repair: repair}) }, func(store *storage.Store) (*api.Check, error) {
		v, err := h.stopped(store)
		if err != nil {
			return nil, err
		}
		return v.check(ctx, repair)
	})
}

// Check reads everything in the home.
func (v *runningView) Check(ctx context.Context, r api.CheckRequest) (*api.Check, error) {
	v.node.sweeping.Lock()
	defer v.node.sweeping.Unlock()
	return v.check(ctx, r.Repair)
}

// check adds to what the store finds what the node itself needs: its base model, and the model that its state names.
func (v *view) check(ctx context.Context, repair bool) (*api.Check, error) {
	h, err := v.store.Check(ctx, repair)
	if err != nil {
		return nil, err
	}
	if repair && len(h.Faults) > 0 { // what was found to stand may rest on what is gone
		if err := v.store.Delete(keyStanding); err != nil {
			return nil, err
		}
	}
	out := &api.Check{Records: h.Records, Blobs: h.Blobs, Bytes: h.Bytes, Faults: faultsOf(h.Faults)}
	if v.genesis != nil {
		if _, err := loadGenesis(v.store, v.genesis.id.String()); err != nil {
			out.Faults = append(out.Faults, api.Fault{What: "genesis", Why: err.Error()})
		}
	}
	if v.member != nil && v.member.Role == record.RoleEdge {
		if err := v.checkState(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func faultsOf(found []storage.Fault) []api.Fault {
	list := make([]api.Fault, len(found))
	for i, f := range found {
		list[i] = api.Fault{What: f.What, Why: f.Why, Repaired: f.Repaired}
	}
	return list
}

// checkState looks for the model that the edge goes on from.
func (v *view) checkState(out *api.Check) error {
	var state edgeState
	if ok, err := getJSON(v.store, keyEdge, &state); err != nil || !ok || state.File == "" {
		return err
	}
	_, err := os.Stat(filepath.Join(v.home.path(modelsDir), filepath.Base(state.File)))
	if errors.Is(err, fs.ErrNotExist) {
		out.Faults = append(out.Faults, api.Fault{What: "model " + state.File, Why: fmt.Sprintf("the model after round %d is gone: restore a backup, or join with a new home", state.Round)})
		return nil
	}
	return err
}
