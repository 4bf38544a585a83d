package record_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage/record"
)

// rule spoils a sample body in one way.
type rule[T record.Body] struct {
	name  string
	spoil func(*T)
}

func testRules[T record.Body](t *testing.T, sample func(testing.TB) *T, rules []rule[T]) {
	t.Helper()
	if _, _, err := record.NewBody(sample(t)); err != nil {
		t.Fatalf("the sample itself: %v", err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			body := sample(t)
			r.spoil(body)
			if _, _, err := record.NewBody(body); !errors.Is(err, record.ErrInvalid) {
				t.Errorf("got %v, want %v", err, record.ErrInvalid)
			}
		})
	}
}

func TestFederationRules(t *testing.T) {
	testRules(t, federation, []rule[record.Federation]{
		{"no name", func(f *record.Federation) { f.Name = "" }},
		{"name too long", func(f *record.Federation) { f.Name = strings.Repeat("x", record.MaxName+1) }},
		{"name with an escape sequence", func(f *record.Federation) { f.Name = "\x1b[2J" }},
		{"name not UTF-8", func(f *record.Federation) { f.Name = "\xff" }},
		{"no founder", func(f *record.Federation) { f.Founder = "" }},
		{"index is a record", func(f *record.Federation) { f.Data.Index.CID = recordCID("x") }},
		{"size without CID", func(f *record.Federation) { f.Data.Targets.CID = cid.Undef }},
		{"negative size", func(f *record.Federation) { f.Data.Targets.Bytes = -1 }},
		{"unknown modality kind", func(f *record.Federation) { f.Data.Modalities[0].Kind = "smell" }},
		{"modality name with a slash", func(f *record.Federation) { f.Data.Modalities[0].Name = "a/b" }},
		{"modality twice", func(f *record.Federation) { f.Data.Modalities[1].Name = f.Data.Modalities[0].Name }},
		{"zero axis", func(f *record.Federation) { f.Data.Modalities[0].Shape[0] = 0 }},
		{"huge tensor", func(f *record.Federation) { f.Data.Modalities[0].Shape = []int{1 << 20, 1 << 20, 1 << 20, 1 << 20} }},
		{"negative rate", func(f *record.Federation) { f.Data.Modalities[1].Rate = -1 }},
		{"clip of a day", func(f *record.Federation) { f.Data.Modalities[1].Seconds = 86400 }},
		{"base with size and without CID", func(f *record.Federation) { f.Bases.Edge[1].Blob.CID = cid.Undef }},
		{"base of super-peers is a record", func(f *record.Federation) { f.Bases.Super.Blob.CID = recordCID("x") }},
		{"negative size of a base", func(f *record.Federation) { f.Bases.Edge[0].Params = -1 }},
		{"too many bases", func(f *record.Federation) {
			f.Bases.Edge = slices.Repeat(f.Bases.Edge[:1], record.MaxBases+1)
		}},
		{"quorum above one", func(f *record.Federation) { f.Policy.Quorum = 1.5 }},
		{"quorum not a number", func(f *record.Federation) { f.Policy.Quorum = math.NaN() }},
		{"negative deadline", func(f *record.Federation) { f.Policy.Deadline = -1 }},
		{"too many rounds", func(f *record.Federation) { f.Policy.Rounds = record.MaxRound + 1 }},
		{"shares lora twice", func(f *record.Federation) { f.Share = []string{"lora", "lora"} }},
	})
}

func TestCertificateRules(t *testing.T) {
	testRules(t, certificate, []rule[record.Certificate]{
		{"no subject", func(c *record.Certificate) { c.Subject = "" }},
		{"no role", func(c *record.Certificate) { c.Role = "" }},
		{"never expires", func(c *record.Certificate) { c.Expires = 0 }},
		{"name too long", func(c *record.Certificate) { c.Name = strings.Repeat("x", record.MaxName+1) }},
		{"an edge as delegate", func(c *record.Certificate) { c.Delegate = true }},
	})
}

func TestRevocationRules(t *testing.T) {
	testRules(t, revocation, []rule[record.Revocation]{
		{"of nothing", func(r *record.Revocation) { r.Certificate = cid.Undef }},
		{"of a blob", func(r *record.Revocation) { r.Certificate = record.BlobCID(nil) }},
	})
}

func TestDeltaRules(t *testing.T) {
	testRules(t, delta, []rule[record.Delta]{
		{"round too high", func(d *record.Delta) { d.Round = record.MaxRound + 1 }},
		{"no base", func(d *record.Delta) { d.Base = cid.Undef }},
		{"modality twice", func(d *record.Delta) { d.Modalities = []string{"a", "a"} }},
		{"too many components", func(d *record.Delta) { d.Components = make([]record.Component, record.MaxComponents+1) }},
		{"component twice", func(d *record.Delta) { d.Components[1] = d.Components[0] }},
		{"component without name", func(d *record.Delta) { d.Components[0].Name = "" }},
		{"component without blob", func(d *record.Delta) { d.Components[0].Blob = record.Blob{} }},
		{"blob too large", func(d *record.Delta) { d.Components[0].Blob.Bytes = record.MaxBlobBytes + 1 }},
		{"infinite metric", func(d *record.Delta) { d.Metrics["loss"] = math.Inf(1) }},
		{"metric without name", func(d *record.Delta) { d.Metrics[""] = 1 }},
	})
}

func TestAggregateRules(t *testing.T) {
	testRules(t, aggregate, []rule[record.Aggregate]{
		{"input twice", func(a *record.Aggregate) { a.Inputs[1] = a.Inputs[0] }},
		{"input is a blob", func(a *record.Aggregate) { a.Inputs[0].Delta = record.BlobCID(nil) }},
		{"negative weight", func(a *record.Aggregate) { a.Inputs[0].Weight = -0.1 }},
		{"weight not a number", func(a *record.Aggregate) { a.Inputs[0].Weight = math.NaN() }},
		{"input of a later round", func(a *record.Aggregate) { a.Inputs[0].Round = a.Round + 1 }},
		{"too many inputs", func(a *record.Aggregate) { a.Inputs = make([]record.Input, record.MaxInputs+1) }},
		{"component and signature twice", func(a *record.Aggregate) { a.Components = append(a.Components, a.Components[0]) }},
		{"no rule", func(a *record.Aggregate) { a.Components[0].Rule = "" }},
		{"infinite component weight", func(a *record.Aggregate) { a.Components[0].Inputs[0].Weight = math.Inf(1) }},
		{"supervision is a record", func(a *record.Aggregate) { a.Supervision.CID = recordCID("x") }},
	})
}

func TestContributionRules(t *testing.T) {
	testRules(t, contribution, []rule[record.Contribution]{
		{"round too high", func(c *record.Contribution) { c.Round = record.MaxRound + 1 }},
		{"component without blob", func(c *record.Contribution) { c.Components[0].Blob = record.Blob{} }},
		{"too many components", func(c *record.Contribution) { c.Components = make([]record.Component, record.MaxComponents+1) }},
	})
}

func TestDisputeRules(t *testing.T) {
	testRules(t, dispute, []rule[record.Dispute]{
		{"of nothing", func(d *record.Dispute) { d.Aggregate = cid.Undef }},
		{"of a blob", func(d *record.Dispute) { d.Aggregate = record.BlobCID(nil) }},
		{"found is a record", func(d *record.Dispute) { d.Found = recordCID("x") }},
		{"claimed alone", func(d *record.Dispute) { d.Found = cid.Undef }},
		{"no reason", func(d *record.Dispute) { d.Reason = "" }},
		{"reason with an escape sequence", func(d *record.Dispute) { d.Reason = "\x1b[2J" }},
	})
}

func TestPolicyRules(t *testing.T) {
	testRules(t, policy, []rule[record.Policy]{
		{"quorum above one", func(p *record.Policy) { p.Round.Quorum = 1.5 }},
		{"no deadline", func(p *record.Policy) { p.Round.Deadline = 0 }},
		{"too many steps", func(p *record.Policy) { p.Steps.Cloud = record.MaxSteps + 1 }},
		{"edges without steps", func(p *record.Policy) { p.Steps.CCL, p.Steps.AMT = 0, 0 }},
		{"steps that overflow", func(p *record.Policy) { p.Steps.CCL, p.Steps.AMT = math.MaxUint64, 1 }},
		{"super-peers without steps", func(p *record.Policy) { p.Steps.Cloud = 0 }},
		{"too many rounds kept", func(p *record.Policy) { p.KeepRounds = record.MaxRound + 1 }},
		{"reason with an escape sequence", func(p *record.Policy) { p.Reason = "\x1b[2J" }},
	})
}

func TestOneComponentMayHaveSeveralSignatures(t *testing.T) {
	a := aggregate(t)
	other := a.Components[0]
	other.Signature = "another structure"
	a.Components = append(a.Components, other)
	if _, _, err := record.NewBody(a); err != nil {
		t.Error(err)
	}
}
