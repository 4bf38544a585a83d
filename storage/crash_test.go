package storage_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const crashHome = "MLECS_TEST_CRASH_HOME"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if home := os.Getenv(crashHome); home != "" {
		writeUntilKilled(home)
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints the CID of each record and blob after it is acknowledged.
func writeUntilKilled(home string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	t := &testing.T{} // only so that the makers of records can be shared
	s, err := storage.Open(home, storage.Options{})
	if err != nil {
		fail(err)
	}
	first, err := s.NextSeq(idOf(t, 1))
	if err != nil {
		fail(err)
	}
	for seq := first; ; seq++ {
		// Every third is larger than the value threshold, so that the value log is written too.
		r := note(t, 1, seq, strings.Repeat("x", int(seq%3)*5000))
		if _, err := s.PutRecord(r); err != nil {
			fail(err)
		}
		fmt.Println("record", r.CID)
		blob, err := s.PutBlobBytes(fmt.Appendf(nil, "blob %d", seq))
		if err != nil {
			fail(err)
		}
		fmt.Println("blob", blob.CID)
	}
}

// killAfter runs writeUntilKilled, kills it with SIGKILL after n acknowledgements, and returns all that were given.
func killAfter(t *testing.T, home string, n int) (records, blobs []cid.Cid) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashHome+"="+home)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, text, _ := strings.Cut(lines.Text(), " ")
		if what != "record" && what != "blob" {
			t.Errorf("child: %s", lines.Text())
			break
		}
		c, err := cid.Decode(text)
		if err != nil {
			break // a line cut off by the kill
		}
		if what == "record" {
			records = append(records, c)
		} else {
			blobs = append(blobs, c)
		}
		if len(records)+len(blobs) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return records, blobs
}

func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	home := t.TempDir()
	var records, blobs []cid.Cid
	for _, n := range []int{1, 40, 121} {
		r, b := killAfter(t, home, n)
		records, blobs = append(records, r...), append(blobs, b...)

		for _, opt := range []storage.Options{{ReadOnly: true}, {}} { // read-only first: it must cope with what the kill left
			s, err := storage.Open(home, opt)
			if err != nil {
				t.Fatalf("after %d acknowledgements, %+v: %v", n, opt, err)
			}
			for _, c := range records {
				if _, err := s.Record(c); err != nil {
					t.Errorf("after %d acknowledgements: %v", n, err)
				}
			}
			for _, c := range blobs {
				if err := s.VerifyBlob(c); err != nil {
					t.Errorf("after %d acknowledgements: %v", n, err)
				}
			}
			checkIndex(t, s, len(records))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkIndex checks that all tables hold the same records, at least n.
func checkIndex(t *testing.T, s *storage.Store, n int) {
	t.Helper()
	byArrival := 0
	for _, err := range s.Records("") {
		if err != nil {
			t.Error(err)
		}
		byArrival++
	}
	byKind := 0
	for range s.Records(record.Kind("note")) {
		byKind++
	}
	authors, err := s.Authors()
	if err != nil || len(authors) != 1 {
		t.Fatalf("authors %v, %v", authors, err)
	}
	sum, err := s.Sum(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for table, got := range map[string]int{
		"kind": byKind, "author": slices.Collect(maps.Values(authors))[0], "timeline": int(sum.Count), "count": s.Count(),
	} {
		if byArrival < n || got != byArrival {
			t.Errorf("%d acknowledged, %d by arrival, %d by %s", n, byArrival, got, table)
		}
	}
}

// TestKilledAtTheBirthOfALog: a process may be killed after the index has created a log and before that has any bytes.
func TestKilledAtTheBirthOfALog(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	r := note(t, 1, 1, "kept")
	if _, err := s.PutRecord(r); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000901.vlog", "000902.vlog", "00901.mem"} {
		if err := os.WriteFile(filepath.Join(home, "index", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if reader := open(t, home, storage.Options{ReadOnly: true}); !reader.HasRecord(r.CID) {
		t.Error("opened for reading, the record is lost")
	} else if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, home, storage.Options{}); !s.HasRecord(r.CID) {
		t.Error("the record is lost")
	}
}
