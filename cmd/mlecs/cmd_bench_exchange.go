package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/bench"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// exchangeCodecs are what `bench codec --config` compares.
var exchangeCodecs = []string{"safetensors", "bf16", "int8", "int4", "topk:0.01", "lowrank:0.008", "lowrank:0.002"}

// exchange is the cost of a round on a model: blobs, and the signed records that name them.
type exchange struct {
	bench.Exchange
	DeltaRecordBytes     int64        `json:"delta_record_bytes"`
	AggregateRecordBytes int64        `json:"aggregate_record_bytes"` // of exchangeEdges deltas, all of which have every component
	Edges                int          `json:"edges"`
	Up                   []direction  `json:"up"`     // by codec of deltas: components and the delta's record
	Down                 direction    `json:"down"`   // components by the default codec of aggregates, supervision, and the aggregate's record
	Gossip               gossipedCost `json:"gossip"` // of records that are no edge's own business
}

// direction is what one edge sends, or receives, in a round.
type direction struct {
	Codec                string  `json:"codec"`
	Bytes                int64   `json:"bytes"`
	FractionOfModelBytes float64 `json:"fraction_of_model_bytes"` // of the model as float32
}

// gossipedCost is what reaches every member because records are flooded: once for sure, and again from each further neighbour in the mesh
// that has not heard of it in time.
type gossipedCost struct {
	RecordsBytes int64 `json:"records_bytes"` // all records of a round, once
	MostTimes    int   `json:"most_times"`    // GossipSub's degree
}

const (
	exchangeEdges = 20
	meshDegree    = 6 // GossipSub's D
)

func measureExchange(ctx context.Context, w bench.Workload) (*exchange, error) {
	blobs, err := bench.MeasureExchange(ctx, w, exchangeCodecs)
	if err != nil {
		return nil, err
	}
	x := &exchange{Exchange: blobs, Edges: exchangeEdges}
	if x.DeltaRecordBytes, x.AggregateRecordBytes, err = exchangeRecords(blobs); err != nil {
		return nil, err
	}
	cost := func(codec string, bytes int64) direction {
		return direction{codec, bytes, float64(bytes) / (4 * float64(x.Params))}
	}
	sum := func(codec string) (n int64) {
		for _, c := range x.Components {
			n += c.Bytes[codec]
		}
		return n
	}
	for _, codec := range exchangeCodecs {
		x.Up = append(x.Up, cost(codec, sum(codec)+x.DeltaRecordBytes))
	}
	aggregates := method.Default().AggregateCodec
	x.Down = cost(aggregates, sum(aggregates)+x.SupervisionBytes+x.AggregateRecordBytes)
	x.Gossip = gossipedCost{int64(x.Edges)*x.DeltaRecordBytes + x.AggregateRecordBytes, meshDegree}
	return x, nil
}

// exchangeRecords signs a delta and an aggregate as nodes do, and gives the bytes of both.
func exchangeRecords(blobs bench.Exchange) (delta, aggregate int64, err error) {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return 0, 0, err
	}
	author, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return 0, 0, err
	}
	name := record.BlobCID([]byte("a blob"))
	var components []record.Component
	for _, c := range blobs.Components {
		components = append(components, record.Component{
			Name: c.Name, Signature: c.Signature, Codec: "int8", Params: c.Params, Blob: record.Blob{CID: name, Bytes: c.Bytes["int8"]},
		})
	}
	modalities := []string{"audio", "image"}
	delta, err = signedBytes(key, &record.Delta{
		Round: 20, Base: name, Modalities: modalities, Rows: 20, Public: exchangeEdges,
		Components: components, Metrics: map[string]float64{"amt_lm": 0.5, "ccl_soft": 0.5, "ccl_contrast": 0.5},
	}, 1)
	if err != nil {
		return 0, 0, err
	}
	body := &record.Aggregate{
		Round: 20, Supervision: record.Blob{CID: name, Bytes: blobs.SupervisionBytes}, Checkpoint: record.Blob{CID: name, Bytes: 4 * blobs.Params},
		Metrics: map[string]float64{"large_lm": 0.5, "large_soft": 0.5, "large_contrast": 0.5, "proxy_lm": 0.5, "proxy_soft": 0.5, "rejected": 0, "transferred": 2, "fit": 1},
	}
	var weights []record.ComponentWeight
	for i := range exchangeEdges {
		body.Inputs = append(body.Inputs, record.Input{Delta: madeUp(i), Round: 20, Author: author, Modalities: modalities, Weight: 0.05})
		weights = append(weights, record.ComponentWeight{Delta: madeUp(i), Weight: 0.05})
	}
	for _, c := range components {
		body.Components = append(body.Components, record.AggregatedComponent{Component: c, Rule: method.Default().MeanRule(), Inputs: weights})
	}
	aggregate, err = signedBytes(key, body, exchangeEdges+2)
	return delta, aggregate, err
}

// madeUp is a CID as records have; another one for every i.
func madeUp(i int) cid.Cid { return cid.NewCidV1(cid.DagCBOR, record.BlobCID([]byte{byte(i)}).Hash()) }

// signedBytes is the size of a signed record with so many parents.
func signedBytes[B record.Body](key crypto.PrivKey, body *B, parents int) (int64, error) {
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return 0, err
	}
	r := record.Record{Kind: kind, Federation: madeUp(0), Seq: 100, Created: time.Now().UnixMilli(), Body: encoded}
	for i := range parents {
		r.Parents = append(r.Parents, madeUp(i))
	}
	signed, err := record.Sign(key, r)
	if err != nil {
		return 0, err
	}
	return int64(len(signed.Envelope)), nil
}

func (x *exchange) print(p *page) {
	header := table.Row{"bytes up, by codec of deltas"}
	rows := make([]table.Row, len(x.Components)+3)
	for i, c := range x.Components {
		rows[i] = table.Row{c.Name}
	}
	record, all, part := &rows[len(rows)-3], &rows[len(rows)-2], &rows[len(rows)-1]
	*record, *all, *part = table.Row{"signed record"}, table.Row{"all"}, table.Row{"of the model as float32"}
	var right []int
	for k, up := range x.Up {
		header, right = append(header, up.Codec), append(right, k+2)
		for i, c := range x.Components {
			rows[i] = append(rows[i], c.Bytes[up.Codec])
		}
		*record, *all = append(*record, x.DeltaRecordBytes), append(*all, up.Bytes)
		*part = append(*part, fmt.Sprintf("%.6f", up.FractionOfModelBytes))
	}
	p.list(header, rows, right, "")
	p.fields("model", x.Config, "parameters", countText(x.Params),
		"bytes down", fmt.Sprintf("%d (%.6f): components as %s, %d of supervision of %d rows, %d of the signed record", x.Down.Bytes, x.Down.FractionOfModelBytes,
			x.Down.Codec, x.SupervisionBytes, x.SupervisionRows, x.AggregateRecordBytes),
		"gossip", fmt.Sprintf("%d, the records of %d edges and their aggregate, reach every member once, and at most %d times", x.Gossip.RecordsBytes, x.Edges, x.Gossip.MostTimes))
}
