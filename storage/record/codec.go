package record

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

var (
	encMode    = newEncMode()
	strictMode = newDecMode(cbor.ExtraDecErrorUnknownField)
	looseMode  = newDecMode(cbor.ExtraDecErrorNone)
)

func newEncMode() cbor.EncMode {
	mode, err := cbor.EncOptions{
		Sort:                    cbor.SortLengthFirst,
		ShortestFloat:           cbor.ShortestFloatNone,
		NaNConvert:              cbor.NaNConvertReject,
		InfConvert:              cbor.InfConvertReject,
		BigIntConvert:           cbor.BigIntConvertReject,
		IndefLength:             cbor.IndefLengthForbidden,
		NilContainers:           cbor.NilContainerAsEmpty,
		BinaryMarshaler:         cbor.BinaryMarshalerNone,
		JSONMarshalerTranscoder: toCBOR{},
	}.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return mode
}

func newDecMode(unknownField cbor.ExtraDecErrorCond) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:                 cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:           maxDepth + 1,
		IndefLength:               cbor.IndefLengthForbidden,
		ExtraReturnErrors:         unknownField,
		DefaultMapType:            reflect.TypeFor[map[string]any](),
		FieldNameMatching:         cbor.FieldNameMatchingCaseSensitive,
		NaN:                       cbor.NaNDecodeForbidden,
		Inf:                       cbor.InfDecodeForbidden,
		BignumTag:                 cbor.BignumTagForbidden,
		BinaryUnmarshaler:         cbor.BinaryUnmarshalerNone,
		JSONUnmarshalerTranscoder: fromCBOR{},
	}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return mode
}

// Encode gives the deterministic DAG-CBOR of v (see the package comment). Values that DAG-CBOR cannot hold, such as NaN,
// 32-bit floats and empty peer ids, are errors.
func Encode(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if err := checkCanonical(b); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads DAG-CBOR into v, a pointer to a zero value. It is strict: unknown or missing fields, duplicate keys, trailing bytes
// and any bytes other than Encode(*v) are errors (ErrNotCanonical, or the CBOR library's). v is unspecified after an error.
func Decode(b []byte, v any) error {
	if err := checkCanonical(b); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if err := strictMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("decode %T: %w: a field is missing or has another type", v, ErrNotCanonical)
	}
	return nil
}

// BlobCID is the CIDv1 (raw, sha2-256) of blob bytes.
func BlobCID(b []byte) cid.Cid { return sumCID(cid.Raw, b) }

// PayloadCID is the CIDv1 (dag-cbor, sha2-256) of a record's payload bytes.
func PayloadCID(payload []byte) cid.Cid { return sumCID(cid.DagCBOR, payload) }

func sumCID(codec uint64, b []byte) cid.Cid {
	sum, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // sha2-256 of the full length is always available
	}
	return cid.NewCidV1(codec, sum)
}
