package method

import "context"

// alone is a method without exchange. A model of its own beside the server's would be of no use, so that the large model takes
// serverSteps a round.
type alone struct {
	*crowd
	serverSteps int
}

// aloneMethods: in "standalone" every node trains on its own rows, as its comparison Standalone does in the daemon. In "standalone-public"
// edges train on the public rows as well, where the federation hands their targets out, and the large model takes the steps that mlecs spends
// on the server's small models.
func aloneMethods() []starter {
	return []starter{
		{"standalone", func(w World) (Federation, error) {
			c, err := newCrowd(w, false, nil)
			return &alone{c, w.Config.CloudSteps}, err
		}},
		{"standalone-public", func(w World) (Federation, error) {
			c, err := newCrowd(w, true, nil)
			return &alone{c, (1 + w.families()) * w.Config.CloudSteps}, err
		}},
	}
}

// Round trains every node on its own.
func (a *alone) Round(ctx context.Context, round uint64, p Progress) (Traffic, error) {
	if round > 0 {
		for _, e := range a.edges {
			if err := e.work(ctx, round, e.cfg.objective(), p); err != nil {
				return Traffic{}, err
			}
		}
	}
	return Traffic{}, a.server.study(ctx, labelledStage, round, a.serverSteps, a.server.rows, a.server.cfg.objective(), p)
}
