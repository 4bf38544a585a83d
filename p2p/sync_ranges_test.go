package p2p

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// keySet is a recordSet of sorted keys.
type keySet []storage.Key

func (s keySet) within(from, to []byte) keySet { return knownRecords{refused: s}.within(from, to) }

func (s keySet) Sum(from, to []byte) (sum storage.Sum, _ error) {
	for _, k := range s.within(from, to) {
		sum.Add(k)
	}
	return sum, nil
}

func (s keySet) Timeline(from, to []byte, limit int) ([]storage.Key, error) {
	in := s.within(from, to)
	return slices.Clone(in[:min(limit, len(in))]), nil
}

func (s keySet) Split(from, to []byte, n int) ([][]byte, error) {
	return cutsOf(s.within(from, to), n), nil
}

// numbered is the key of a number, which is its time as well.
func numbered(n uint64) (k storage.Key) {
	k[0] = 1
	binary.BigEndian.PutUint64(k[1:], n)
	rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), n))).Read(k[9:])
	return k
}

func numberedSet(numbers ...uint64) (s keySet) {
	for _, n := range slices.Sorted(slices.Values(numbers)) {
		s = append(s, numbered(n))
	}
	return slices.Compact(s)
}

// talk is a reconciliation of two sets: what the sides then know the other to lack, in how many messages and bytes.
type talk struct {
	a, b            *reconciler
	messages, bytes int
}

func reconcileSets(t rapid.TB, a, b recordSet, most int) *talk {
	t.Helper()
	out := &talk{a: newReconciler(a, bytes.Repeat([]byte{1}, rangeSalt), most)}
	out.b = newReconciler(b, out.a.salt, most)
	message, err := out.a.open()
	for sides := []*reconciler{out.b, out.a}; ; slices.Reverse(sides) {
		if err != nil {
			t.Fatal(err)
		}
		var frame bytes.Buffer
		if err := writeMessage(&frame, message); err != nil {
			t.Fatal(err)
		}
		out.messages++
		out.bytes += frame.Len()
		message = new(syncRanges)
		if err := readMessage(&frame, message); err != nil {
			t.Fatal(err)
		}
		if err := message.check(); err != nil {
			t.Fatal(err)
		}
		if len(message.Ranges) == 0 {
			return out
		}
		if out.messages > 2*maxSyncRound {
			t.Fatal("it does not end")
		}
		message, err = sides[0].answer(message)
	}
}

func TestReconciliationFindsWhatEitherSideLacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Uint64Range(0, 3000), 0, 900).Draw(t, "all")
		only := rapid.SliceOfN(rapid.IntRange(0, 2), len(numbers), len(numbers)).Draw(t, "who")
		if rapid.Bool().Draw(t, "mostly alike") {
			for i := range only {
				only[i] *= i % 40 / 39
			}
		}
		var a, b []uint64
		for i, n := range numbers {
			if only[i] != 1 {
				a = append(a, n)
			}
			if only[i] != 2 {
				b = append(b, n)
			}
		}
		x, y := numberedSet(a...), numberedSet(b...)
		got := reconcileSets(t, x, y, 5000)
		if got.a.more || got.b.more {
			t.Fatal("something is left")
		}
		mustLack(t, got.a, x, y)
		mustLack(t, got.b, y, x)
	})
}

// mustLack compares what a side found with the difference.
func mustLack(t rapid.TB, r *reconciler, mine, theirs keySet) {
	t.Helper()
	want := 0
	for _, k := range mine {
		if _, there := slices.BinarySearchFunc(theirs, k, func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) }); !there {
			want++
			if !r.lacks[k] {
				t.Fatalf("%x was not found", k[:9])
			}
		}
	}
	if len(r.lacks) != want {
		t.Fatalf("%d found, want %d", len(r.lacks), want)
	}
}

func TestCostOfReconciliation(t *testing.T) {
	const records = 100_000
	all := make([]uint64, records)
	for i := range all {
		all[i] = uint64(1_700_000_000_000 + 1000*i)
	}
	whole := numberedSet(all...)
	random := rand.New(rand.NewPCG(1, 2))
	without := func(gone ...int) keySet {
		s := slices.Clone(whole)
		slices.Sort(gone)
		for _, i := range slices.Backward(slices.Compact(gone)) {
			s = slices.Delete(s, i, i+1)
		}
		return s
	}
	var scattered, newest []int
	for i := range 10 {
		scattered = append(scattered, random.IntN(records))
		newest = append(newest, records-1-i)
	}
	for name, c := range map[string]struct {
		a, b            keySet
		bytes, messages int // at most
		found           int
	}{
		"equal":                 {whole, whole, 100, 2, 0},
		"ten scattered missing": {without(scattered...), whole, 8 << 10, 9, 10},
		"five on either side":   {without(scattered[:5]...), without(scattered[5:]...), 8 << 10, 9, 10},
		"the ten newest":        {without(newest...), whole, 2 << 10, 9, 10},
		"a fresh member":        {nil, whole, 100, 2, syncRecords},
	} {
		t.Run(name, func(t *testing.T) {
			got := reconcileSets(t, c.a, c.b, syncRecords)
			found := len(got.a.first(syncRecords)) + len(got.b.first(syncRecords))
			t.Logf("%d bytes in %d messages", got.bytes, got.messages)
			if got.bytes > c.bytes || got.messages > c.messages || found != c.found {
				t.Errorf("%d bytes in %d messages, %d found; want at most %d in %d, and %d", got.bytes, got.messages, found, c.bytes, c.messages, c.found)
			}
		})
	}
}

func TestReconciliationOfMuchTellsNoMoreThanIsSent(t *testing.T) {
	var even, all []uint64
	for n := range uint64(8_000) {
		all = append(all, n)
		if n%2 == 0 {
			even = append(even, n)
		}
	}
	a, b := numberedSet(even...), numberedSet(all...)
	const turn = 1000
	total, exchanges := 0, 0
	for len(a) < len(b) {
		got := reconcileSets(t, a, b, turn)
		total += got.bytes
		if exchanges++; exchanges > 80 {
			t.Fatalf("%d of %d after %d exchanges", len(a), len(b), exchanges)
		}
		sent := got.b.first(turn)
		if len(a)+len(sent) < len(b) && !got.b.more && len(got.b.lacks) == 0 {
			t.Fatal("not all is sent, and nobody says so")
		}
		a = append(a, sent...)
		slices.SortFunc(a, func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) })
	}
	t.Logf("4,000 records in %d exchanges, %d bytes beside them", exchanges, total)
	if per := total / 4_000; per > 100 {
		t.Errorf("%d bytes for each record sent", per)
	}
}

func TestBadRangesAreRefused(t *testing.T) {
	print := make([]byte, rangeDigest)
	many := make([]syncRange, maxRanges+1)
	for name, ranges := range map[string][]syncRange{
		"too many":             many,
		"backward":             {{To: []byte{2}, Says: rangePrint, Data: print}, {To: []byte{1}, Says: rangePrint, Data: print}},
		"empty":                {{To: []byte{2}, Says: rangePrint, Data: print}, {To: []byte{2}, Says: rangePrint, Data: print}},
		"beyond the end":       {{Says: rangePrint, Data: print}, {To: []byte{2}, Says: rangePrint, Data: print}},
		"a long place":         {{To: make([]byte, 42), Says: rangePrint, Data: print}},
		"a short fingerprint":  {{Says: rangePrint, Data: print[1:]}},
		"half a record":        {{Says: rangeList, Data: print[:4]}},
		"something unknown":    {{Says: rangeWant + 1}},
		"a rest with content":  {{Says: rangeRest, Data: print}},
		"too many records":     {{Says: rangeList, Data: make([]byte, rangeDigest*(maxRangeIDs+maxRanges+1))}},
		"a print of two lists": {{Says: rangePrint, Data: append(print, print...)}},
	} {
		if m := (&syncRanges{Ranges: ranges}); m.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzSyncRanges(f *testing.F) {
	var all []uint64
	for n := range uint64(200) {
		all = append(all, n*3)
	}
	set := numberedSet(all...)
	for _, c := range []keySet{nil, set, set[:190], set[5:]} {
		r := newReconciler(c, make([]byte, rangeSalt), 50)
		message, err := r.open()
		for range 3 {
			var b bytes.Buffer
			if err != nil || writeMessage(&b, message) != nil {
				f.Fatal(err)
			}
			f.Add(b.Bytes())
			message, err = newReconciler(set, make([]byte, rangeSalt), 50).answer(message)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		message := new(syncRanges)
		if readMessage(bytes.NewReader(b), &syncEnd{}) == nil || readMessage(bytes.NewReader(b), message) != nil || message.check() != nil {
			return
		}
		r := newReconciler(set, make([]byte, rangeSalt), 50)
		reply, err := r.answer(message)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := reply.check(); err != nil {
			t.Fatalf("its own answer: %v", err)
		}
		if err := writeMessage(&out, reply); err != nil {
			t.Fatal(err)
		}
		if len(r.lacks) > 200 {
			t.Fatal("more is lacking than there is")
		}
	})
}

// TestFreshMemberCatchesUp has two hosts exchange signed records: each is sent once, and what travels beside them is small.
func TestFreshMemberCatchesUp(t *testing.T) {
	w := newWriter(t, 1)
	const records = 300
	old, fresh := newSyncNode(t), newSyncNode(t)
	old.sync.cfg.turn, fresh.sync.cfg.turn = 100, 100
	var notes []*record.Signed
	for seq := range uint64(records) {
		notes = append(notes, w.noteAt(t, seq+1, int64(seq), fmt.Sprint(seq)))
	}
	old.put(t, notes...)
	connect(t, fresh.host, old.host)
	if got := fresh.with(t, old); got != (syncResult{Received: records}) {
		t.Errorf("moved %+v", got)
	}
	mustAgree(t, records, old, fresh)
	var late []*record.Signed
	for seq := range uint64(10) {
		late = append(late, w.noteAt(t, records+seq+1, int64(seq*300), "late"))
	}
	old.put(t, late...)
	if got := fresh.with(t, old); got != (syncResult{Received: 10}) {
		t.Errorf("then moved %+v", got)
	}
	mustAgree(t, records+10, old, fresh)
}
