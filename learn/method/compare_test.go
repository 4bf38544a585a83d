package method_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
)

// after are the components of a federation's edges when rounds 0 to last are over.
func after(t *testing.T, name string, w method.World, last uint64) []map[string]adapter.Component {
	t.Helper()
	f, err := method.Start(name, w)
	if err != nil {
		t.Fatal(err)
	}
	for round := range last + 1 {
		if _, err := f.Round(context.Background(), round, nil); err != nil {
			t.Fatal(err)
		}
	}
	var all []map[string]adapter.Component
	for i := range w.Nodes {
		all = append(all, method.ComponentsOf(f.Edge(i)))
	}
	return all
}

// Averaging is over what every node makes of the round by itself, weighted by rows; what is not averaged is the node's own.
func TestAveragingMethodsAverageByRows(t *testing.T) {
	for name, kinds := range map[string]string{"fedavg-lora": "lora", "fedprox": "lora", "fedavg-zero": "lora encoder connector"} {
		w := testWorld(t)
		w.Config.ProxyWeight = 0
		together := after(t, name, w, 1)
		var alone []map[string]adapter.Component
		var weights []float64
		for _, n := range w.Nodes {
			single := w
			single.Nodes = []method.Node{n}
			alone = append(alone, after(t, name, single, 1)[0])
			weights = append(weights, float64(len(n.Private)))
		}
		for part := range alone[0] {
			if !strings.Contains(kinds, adapter.Kind(part)) {
				continue
			}
			var versions []adapter.Component
			for _, a := range alone {
				versions = append(versions, a[part])
			}
			mean, err := adapter.WeightedMean(versions, weights)
			if err != nil {
				t.Fatal(err)
			}
			for i := range together {
				if !reflect.DeepEqual(together[i][part], mean) {
					t.Errorf("%s: %s of edge %d is not the mean", name, part, i)
				}
			}
		}
		for i := range together {
			for part, c := range together[i] {
				if !strings.Contains(kinds, adapter.Kind(part)) && !reflect.DeepEqual(c, alone[i][part]) {
					t.Errorf("%s: %s of edge %d is not its own", name, part, i)
				}
			}
		}
	}
}

func TestFedProxWithoutItsTermIsFedIT(t *testing.T) {
	w := testWorld(t)
	w.Config.Mu = 0
	fedit := play(t, "fedavg-lora", w, 2)
	if !reflect.DeepEqual(play(t, "fedprox", w, 2), fedit) {
		t.Error("mu is 0, and the outcome another")
	}
	w.Config.Mu = 0.5
	if reflect.DeepEqual(play(t, "fedprox", w, 2), fedit) {
		t.Error("mu is 0.5, and the outcome the same")
	}
}

// Without targets of public rows at the edges, only the server can tell standalone from standalone-public.
func TestPublicLabelsDecideWhatEdgesSee(t *testing.T) {
	for labels, same := range map[string]bool{method.LabelsCloud: true, method.LabelsEdges: false} {
		w := testWorld(t)
		w.Config.PublicLabels = labels
		alone, public := play(t, "standalone", w, 1), play(t, "standalone-public", w, 1)
		if reflect.DeepEqual(alone.edges, public.edges) != same {
			t.Errorf("labels at the %s: edges of standalone and standalone-public equal: %v", labels, !same)
		}
	}
}

// A node of fewer modalities must not see more through a model that has them all.
func TestZeroFilledModelsSeeWhatTheirNodeSees(t *testing.T) {
	ctx := context.Background()
	w := testWorld(t)
	f, err := method.Start("fedavg-zero", w)
	if err != nil {
		t.Fatal(err)
	}
	for round := range uint64(2) {
		if _, err := f.Round(ctx, round, nil); err != nil {
			t.Fatal(err)
		}
	}
	whole := observe("test", 30, noise, both)
	blind := observe("test", 30, noise, both)
	for i := range blind {
		delete(blind[i].Inputs, "b")
	}
	for i, same := range []bool{false, true} { // node 0 has both, node 1 the first
		a, errA := f.Edge(i).Evaluate(ctx, whole)
		b, errB := f.Edge(i).Evaluate(ctx, blind)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if same && a != b {
			t.Errorf("node %d: %v with and %v without what it has no sensor for", i, a, b)
		}
	}
}

// Every ablation takes out its part: what that part learns from no longer matters, while it does in mlecs.
func TestAblationsTakeOutTheirPart(t *testing.T) {
	edges := func(o outcome) any { return o.edges }
	server := func(o outcome) any { return o.server }
	otherRows := func(w *method.World) {
		for i, n := range w.Nodes {
			w.Nodes[i].Private = observe("others of "+n.Stream, len(n.Private), noise, n.Modalities)
		}
	}
	for name, c := range map[string]struct {
		change func(*method.World)
		of     func(outcome) any
	}{
		"mlecs-no-contrast":  {func(w *method.World) { w.Config.Lambda *= 3 }, edges},
		"mlecs-no-soft":      {func(w *method.World) { w.Config.SoftWeight *= 3 }, edges},
		"mlecs-no-ccl":       {func(w *method.World) { w.Config.Lambda, w.Config.SoftWeight = 3, 3 }, edges},
		"mlecs-no-amt":       {otherRows, edges},
		"mlecs-no-mma":       {otherRows, server},
		"mlecs-no-seccl":     {otherRows, server},
		"mlecs-uniform":      {nil, edges},
		"mlecs-no-encoder":   {nil, edges},
		"mlecs-no-connector": {nil, edges},
		"mlecs-paper":        {nil, edges},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testWorld(t)
			plain, without := play(t, "mlecs", w, 1), play(t, name, w, 1)
			if reflect.DeepEqual(edges(plain), edges(without)) && reflect.DeepEqual(server(plain), server(without)) {
				t.Fatal("it is mlecs")
			}
			if c.change == nil {
				return
			}
			c.change(&w)
			if reflect.DeepEqual(c.of(play(t, "mlecs", w, 1)), c.of(plain)) {
				t.Error("the change changes nothing in mlecs")
			}
			if !reflect.DeepEqual(c.of(play(t, name, w, 1)), c.of(without)) {
				t.Error("the part is not out")
			}
		})
	}
}
