package p2p

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mlecs/mlecs/storage/record"
)

// A message of /mlecs/hello/1, /mlecs/sync/1, /mlecs/blob/1 and /mlecs/piece/1 is a length (unsigned varint) and that many bytes of DAG-CBOR.

func writeMessage(w io.Writer, message any) error {
	body, err := record.Encode(message)
	if err != nil {
		return err
	}
	if len(body) > maxHello {
		return fmt.Errorf("%T of %d bytes is longer than %d", message, len(body), maxHello)
	}
	// One write, so that a small message travels as one packet.
	frame := binary.AppendUvarint(make([]byte, 0, len(body)+binary.MaxVarintLen64), uint64(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("send %T: %w", message, err)
	}
	return nil
}

func readMessage(r io.Reader, message any) error { return readLimited(r, maxHello, message) }

// readLimited reads a message of at most limit bytes, and nothing beyond it.
func readLimited(r io.Reader, limit uint64, message any) error {
	body, err := readFrame(r, limit)
	if err != nil {
		return fmt.Errorf("receive %T: %w", message, err)
	}
	return record.Decode(body, message)
}

func readFrame(r io.Reader, limit uint64) ([]byte, error) {
	size, err := binary.ReadUvarint(byteReader{r})
	if err != nil {
		return nil, fmt.Errorf("length: %w", err)
	}
	if size > limit {
		return nil, fmt.Errorf("%d bytes announced, at most %d are allowed", size, limit)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return body, nil
}

// byteReader reads single bytes, so that nothing beyond the length is consumed.
type byteReader struct{ io.Reader }

func (b byteReader) ReadByte() (byte, error) {
	var one [1]byte
	_, err := io.ReadFull(b.Reader, one[:])
	return one[0], err
}
