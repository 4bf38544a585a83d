package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// What a command reads of a stopped home's rounds is what the node knew of them, wherever in the history the node last noted the newest
// aggregate, or if it never did.
func TestRecentLedgerTellsTheSame(t *testing.T) {
	ids := func(l *ledger) (all []cid.Cid) {
		for _, a := range l.rounds() {
			all = append(all, a.cid)
		}
		return all
	}
	forks := someForks(t)
	for seed := range 12 {
		t.Run(fmt.Sprint("forks ", seed), func(t *testing.T) {
			records := forks.Example(seed)
			store := newStore(t)
			if _, err := store.PutRecords(records); err != nil {
				t.Fatal(err)
			}
			whole := emptyLedger()
			n := &Node{store: store}
			for i := 0; ; i++ {
				recent, err := recentLedger(store)
				if err != nil {
					t.Fatal(err)
				}
				all, err := newLedger(store)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := ids(recent), ids(all); !slices.Equal(got, want) {
					t.Errorf("noted after %d of %d records: history is %v, want %v", i, len(records), got, want)
				}
				if i == len(records) {
					return
				}
				whole.add(records[i])
				n.noteStanding(whole.newest(nil))
			}
		})
	}
}

// A delta, an aggregate and the records of one kind are found by the beginning of a CID, without a ledger.
func TestRecordsAreFoundByTheBeginningOfTheirCIDs(t *testing.T) {
	store := newStore(t)
	zero := aggregateWith(t, 9, 1, 0, nil)
	list := []*record.Signed{zero}
	for i := range 40 {
		list = append(list, deltaOf(t, 1, uint64(i+1), uint64(i+1)))
	}
	if _, err := store.PutRecords(list); err != nil {
		t.Fatal(err)
	}
	recent, err := recentLedger(store)
	if err != nil {
		t.Fatal(err)
	}
	v := &view{store: store, recent: recent}
	for _, r := range list[1:] {
		if d, err := v.findDelta(r.CID.String()[:24]); err != nil || d.CID != r.CID {
			t.Errorf("found %v, %v; want %s", d, err, r.CID)
		}
	}
	if _, err := v.findDelta(zero.CID.String()); err == nil {
		t.Error("an aggregate was found among deltas")
	}
	if a, err := v.findAggregate(zero.CID.String()[:24]); err != nil || a.cid != zero.CID {
		t.Errorf("found %v, %v", a, err)
	}
	for _, prefix := range []string{"", "b", "bafy", "Qm", "no"} {
		if _, err := v.findDelta(prefix); err == nil {
			t.Errorf("%q was found", prefix)
		}
	}
	if last, err := v.lastDeltaOf(idOf(t, 1)); err != nil || last == nil || last.Round != 40 {
		t.Errorf("last delta %+v, %v", last, err)
	}
	if none, err := v.lastDeltaOf(idOf(t, 2)); err != nil || none != nil {
		t.Errorf("delta of nobody %+v, %v", none, err)
	}
	newest, err := v.Deltas(t.Context(), api.Window{Last: 3})
	if err != nil || len(newest) != 3 || newest[0].Round != 38 || newest[2].Round != 40 {
		t.Errorf("newest three: %+v, %v", newest, err)
	}
}
