package method

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// A supervision blob is
//
//	"MLS1"
//	codec                  string: length as uvarint, UTF-8
//	fused representations  length as uvarint, then a component "fused" of one tensor [rows, width], as the codec encodes it
//	answers                packed (adapter.Pack) to the end:
//	  k                    uvarint, alternatives of every token
//	  rows                 for each its id (string), its tokens (uvarint), then for each token: its id, and k times the id (uvarint) and the
//	                       log-probability of an alternative
//
// Log-probabilities are float32, little-endian, with the codec safetensors, and else one byte q that stands for -32 (q/255)^2: fine steps
// where it matters, next to certainty, and nothing below exp(-32).
const (
	supervisionMagic = "MLS1"
	fusedName        = "fused"
	leastLog         = -32.0
	maxRowID         = 1 << 10 // bytes
	maxAlternatives  = 1 << 10
)

// EncodeSupervision makes the blob of s; equal supervision gives equal bytes. codec is one that codes whole values.
func EncodeSupervision(codec string, s *Supervision) ([]byte, error) {
	blob, err := encodeSupervision(codec, s)
	if err != nil {
		return nil, fmt.Errorf("encoding supervision: %w", err)
	}
	return blob, nil
}

func encodeSupervision(codec string, s *Supervision) ([]byte, error) {
	width, k, err := s.check()
	if err != nil {
		return nil, err
	}
	parsed, err := adapter.ParseCodec(codec)
	if err != nil {
		return nil, err
	}
	fused := adapter.Component{Name: fusedName, Signature: fusedName, Tensors: []adapter.Tensor{{Name: fusedName, Shape: []int{len(s.IDs), width}}}}
	for _, f := range s.Fused {
		fused.Tensors[0].Data = append(fused.Tensors[0].Data, f...)
	}
	values, err := parsed.Encode(fused)
	if err != nil {
		return nil, err
	}
	answers := binary.AppendUvarint(nil, uint64(k))
	for i, soft := range s.Soft {
		if len(s.IDs[i]) > maxRowID {
			return nil, fmt.Errorf("row id %.50q is longer than %d bytes", s.IDs[i], maxRowID)
		}
		answers = appendText(answers, s.IDs[i])
		answers = binary.AppendUvarint(answers, uint64(len(soft.IDs)))
		for t, id := range soft.IDs {
			answers = binary.AppendUvarint(answers, uint64(id))
			for j, top := range soft.TopIDs[t] {
				answers = binary.AppendUvarint(answers, uint64(top))
				answers = appendLog(answers, soft.TopLog[t][j], parsed.Lossless())
			}
		}
	}
	packed, err := adapter.Pack(answers)
	if err != nil {
		return nil, err
	}
	out := appendText([]byte(supervisionMagic), parsed.Name())
	out = binary.AppendUvarint(out, uint64(len(values)))
	return append(append(out, values...), packed...), nil
}

func appendText(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

func appendLog(out []byte, v float32, exact bool) []byte {
	if exact {
		return binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	share := min(max(float64(v), leastLog), 0) / leastLog
	return append(out, byte(math.RoundToEven(255*math.Sqrt(share))))
}

// MaxSupervision is how many values the supervision of so many public rows may have in this federation: what a reader has to be ready for.
func (c Config) MaxSupervision(rows int) int64 {
	return int64(rows) * int64(c.Spec.Fused+c.MaxTokens*(1+2*c.SoftK))
}

// DecodeSupervision reads what EncodeSupervision made, and checks it. It takes memory for no more than maxValues fused values, token ids and
// log-probabilities together.
func DecodeSupervision(blob []byte, maxValues int64) (*Supervision, error) {
	s, err := decodeSupervision(blob, maxValues)
	if err == nil {
		_, _, err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("decoding supervision: %w", err)
	}
	return s, nil
}

func decodeSupervision(blob []byte, maxValues int64) (*Supervision, error) {
	rest, ok := bytes.CutPrefix(blob, []byte(supervisionMagic))
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q", supervisionMagic)
	}
	r := &supervisionReader{adapter.BlobReader{Rest: rest}}
	codec := r.text()
	values := r.Bytes(r.Uvarint(math.MaxInt32))
	if r.Err != nil {
		return nil, r.Err
	}
	parsed, err := adapter.ParseCodec(codec)
	if err != nil {
		return nil, err
	}
	fused, err := adapter.Decode(parsed.Name(), values, maxValues)
	if err != nil {
		return nil, err
	}
	if len(fused.Tensors) != 1 || len(fused.Tensors[0].Shape) != 2 {
		return nil, errors.New("fused representations are not one matrix")
	}
	t := fused.Tensors[0]
	rows, width := t.Shape[0], t.Shape[1]
	most := maxValues - fused.Params()
	if int64(rows) > most {
		return nil, fmt.Errorf("%d rows; at most %d values are allowed", rows, maxValues)
	}
	if r.Rest, err = adapter.Unpack(r.Rest, binary.MaxVarintLen32+int64(rows)*(maxRowID+2*binary.MaxVarintLen32)+most*binary.MaxVarintLen32); err != nil {
		return nil, err
	}
	s := &Supervision{}
	k := r.number(maxAlternatives)
	for i := range rows {
		s.IDs = append(s.IDs, r.text())
		s.Fused = append(s.Fused, t.Data[i*width:(i+1)*width:(i+1)*width])
		tokens := r.number(math.MaxInt32)
		if most -= int64(tokens) * int64(1+2*k); most < 0 {
			return nil, fmt.Errorf("row %q: more than %d values", s.IDs[i], maxValues)
		}
		s.Soft = append(s.Soft, r.answer(tokens, k, parsed.Lossless()))
		if r.Err != nil {
			return nil, fmt.Errorf("row %d of %d: %w", i+1, rows, r.Err)
		}
	}
	if r.Err == nil && len(r.Rest) > 0 {
		r.Err = fmt.Errorf("%d bytes follow the last answer", len(r.Rest))
	}
	return s, r.Err
}

type supervisionReader struct{ adapter.BlobReader }

func (r *supervisionReader) text() string { return string(r.Bytes(r.Uvarint(maxRowID))) }

func (r *supervisionReader) number(most uint64) int { return int(r.Uvarint(most)) }

func (r *supervisionReader) log(exact bool) float32 {
	if exact {
		if b := r.Bytes(4); b != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
		return 0
	}
	b := r.Bytes(1)
	if b == nil {
		return 0
	}
	return float32(leastLog * (float64(int(b[0])*int(b[0])) / (255 * 255)))
}

// answer reads one row's tokens with k alternatives each.
func (r *supervisionReader) answer(tokens, k int, exact bool) model.SoftTarget {
	var soft model.SoftTarget
	for range tokens {
		if r.Err != nil {
			break
		}
		soft.IDs = append(soft.IDs, r.number(maxTokenID))
		ids, logs := make([]int, k), make([]float32, k)
		for j := range k {
			ids[j], logs[j] = r.number(maxTokenID), r.log(exact)
		}
		soft.TopIDs, soft.TopLog = append(soft.TopIDs, ids), append(soft.TopLog, logs)
	}
	return soft
}
