package node

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

// collector takes traces as OTLP with JSON, and keeps which spans which node sent.
type collector struct {
	mu     sync.Mutex
	spans  map[string][]string // by node
	traces map[string]map[string]bool
	badly  int // spans without a round's id or with an end before their start
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeSpans []struct {
				Spans []struct {
					TraceID, Name                      string
					StartTimeUnixNano, EndTimeUnixNano string
				}
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		c.badly++
		return
	}
	for _, rs := range body.ResourceSpans {
		node := ""
		for _, a := range rs.Resource.Attributes {
			if a.Key == "mlecs.node" {
				node = a.Value.StringValue
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans[node] = append(c.spans[node], s.Name)
				if c.traces[s.TraceID] == nil {
					c.traces[s.TraceID] = map[string]bool{}
				}
				c.traces[s.TraceID][node] = true
				if len(s.TraceID) != 32 || s.EndTimeUnixNano < s.StartTimeUnixNano {
					c.badly++
				}
			}
		}
	}
}

// TestTracesOfRounds: every node sends its spans, and those of one round make one trace.
func TestTracesOfRounds(t *testing.T) {
	got := &collector{spans: map[string][]string{}, traces: map[string]map[string]bool{}}
	srv := httptest.NewServer(got)
	defer srv.Close()
	traced := func(cfg *Config) { cfg.OTLP = srv.URL }
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60000})
	super := c.nodes["super"]
	cfg, err := super.home.Config()
	if err != nil {
		t.Fatal(err)
	}
	traced(&cfg)
	if err := super.home.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	super.start()
	edge := c.joinWith(record.RoleEdge, "kitchen", traced)
	edge.start()
	edge.until("done", isDone)
	super.until("done", isDone)
	edge.halt()
	super.halt()
	got.mu.Lock()
	defer got.mu.Unlock()
	for node, names := range map[string][]string{
		"kitchen": {spanRound, spanFetch, spanTune, spanPublish}, "super": {spanRound, spanFetch, spanAggregate, spanDistil, spanPublish},
	} {
		for _, name := range names {
			if !slices.Contains(got.spans[node], name) {
				t.Errorf("%s sent no span %s, only %v", node, name, got.spans[node])
			}
		}
	}
	shared := 0
	for _, nodes := range got.traces {
		if len(nodes) == 2 {
			shared++
		}
	}
	if shared == 0 || len(got.traces) != 2 || got.badly > 0 { // rounds 0 and 1
		t.Errorf("%d traces, %d of both nodes, %d bad spans", len(got.traces), shared, got.badly)
	}
}
