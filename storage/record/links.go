package record

import "github.com/ipfs/go-cid"

// Links lists the CIDs in DAG-CBOR bytes, such as the body of any record, in their order.
func Links(b []byte) ([]cid.Cid, error) {
	s := scanner{b: b}
	if err := s.value(0); err != nil {
		return nil, err
	}
	return s.links, nil
}
