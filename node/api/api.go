package api

import "context"

// Source answers every inspecting command. Slices in answers are never nil, so that they are [] in JSON.
type Source interface {
	Answers
	Provenance
	Status(ctx context.Context) (*Status, error)
	Peers(ctx context.Context) ([]Peer, error)
	// Members are all that were ever certified, and unused invites, by name and id.
	Members(ctx context.Context) ([]Member, error)
	// Rounds are the aggregates, oldest first.
	Rounds(ctx context.Context, w Window) ([]Round, error)
	// Deltas are in order of round and author.
	Deltas(ctx context.Context, w Window) ([]Delta, error)
	// Delta finds a delta by its full CID or a unique prefix of it: ErrNotFound if no delta fits, ErrAmbiguous if several do.
	Delta(ctx context.Context, cid string) (*Delta, error)
	Models(ctx context.Context) ([]Model, error)
	// Adapter finds the LoRA of a delta, named as for Delta, or with an empty name the newest that is stored: the last aggregate's that
	// has one, else the last delta's. ErrNotFound if there is none.
	Adapter(ctx context.Context, delta string) (*Adapter, error)
	Scores(ctx context.Context) (*Scores, error)
}

// Window is the part of a list that is asked for: a long-lived federation has much to tell. The zero value is all of it.
type Window struct {
	From uint64 // the first round to tell of
	Last int    // at most so many, the last ones; 0: all
}

// Controller is what a running node offers beside inspection.
type Controller interface {
	Source
	Membership
	Upkeep
	Governing
	// Events gives what happens from here on, after those events that the node remembers with an id above after. The channel is closed when
	// ctx ends, or when nobody reads it in time: what was missed is got by asking again.
	Events(ctx context.Context, after uint64) <-chan Event
	// Ready is nil once the node takes part in rounds, else it says what the node waits for.
	Ready(ctx context.Context) error
	// LogLevels tells what every subsystem logs; SetLogLevel changes it: ErrBadRequest for a subsystem or level that does not exist.
	LogLevels() []LogLevel
	SetLogLevel(l LogLevel) error
	// Login makes a link that opens the node's page in a browser on this machine; the node begins to listen for it if it does not yet.
	Login(ctx context.Context) (*Login, error)
	// Invite makes a token; the node's home must hold the founder key, or be a delegate's.
	Invite(ctx context.Context, r InviteRequest) (*InviteReply, error)
	// Stop begins a clean stop and returns at once.
	Stop()
}

// InviteRequest asks for a token.
type InviteRequest struct {
	Role      string   `json:"role"`      // edge or super
	Delegate  bool     `json:"delegate"`  // a super-peer that may itself invite; takes the founder key
	Seconds   int64    `json:"seconds"`   // how long the token may be used
	Bootstrap []string `json:"bootstrap"` // multiaddrs to put in it; empty: the node's own
}

// InviteReply carries the token. It is a bearer secret: whoever holds it may join once.
type InviteReply struct {
	Token string `json:"token"`
}

// Status of a node.
type Status struct {
	Running         bool            `json:"running"`
	Version         string          `json:"version"`
	Name            string          `json:"name"`
	PeerID          string          `json:"peer_id"`
	PID             int             `json:"pid"`
	Home            string          `json:"home"`
	Role            string          `json:"role"`
	Federation      string          `json:"federation"` // genesis CID; empty before create or join
	FedName         string          `json:"federation_name"`
	Addrs           []string        `json:"addrs"`
	Reach           Reach           `json:"reach"` // how others get to a running node
	UptimeSec       float64         `json:"uptime_seconds"`
	Peers           int             `json:"peers"`
	Round           uint64          `json:"round"`            // newest aggregate
	Rounds          uint64          `json:"rounds"`           // 0: endless
	Phase           string          `json:"phase"`            // waiting, ccl, amt, mma, se-ccl, evaluating, baseline, done, disk-full, ...
	Policy          *Policy         `json:"policy,omitempty"` // of the rounds; nil in no federation
	Cloudless       bool            `json:"cloudless"`        // an edge without a super-peer in reach, which goes on with the deltas of other edges
	StepDone        int             `json:"step_done"`
	StepTotal       int             `json:"step_total"`
	Loss            float64         `json:"loss"`
	Domain          string          `json:"domain"`
	Modalities      []string        `json:"modalities"`
	Family          int             `json:"family"`   // of the edge's structure and base model
	Families        int             `json:"families"` // of the federation's edges
	Base            string          `json:"base"`     // name of the base model
	BaseCID         string          `json:"base_cid"`
	ParamsTotal     int64           `json:"params_total"`
	ParamsTrainable int64           `json:"params_trainable"`
	TrainRows       int             `json:"train_rows"`
	TestRows        int             `json:"test_rows"`
	PublicRows      int             `json:"public_rows"`
	Privacy         *Privacy        `json:"privacy,omitempty"` // of an edge's private rows, where the federation has differential privacy
	Records         int             `json:"records"`
	BytesSent       int64           `json:"bytes_sent"`
	BytesReceived   int64           `json:"bytes_received"`
	RejectedRecords int64           `json:"rejected_records"`
	RejectedBlobs   int64           `json:"rejected_blobs"`
	RefusedPeers    int64           `json:"refused_peers"`
	Disputed        int             `json:"disputed"` // aggregates to which a member objects
	DiskBytes       int64           `json:"disk_bytes"`
	DiskFree        int64           `json:"disk_free"`       // bytes on the disk of the home
	DiskQuota       int64           `json:"disk_quota"`      // bytes that the home may take; 0: no limit
	Protocols       []ProtocolBytes `json:"protocols"`       // since the node's start, those with the most first
	Error           string          `json:"error,omitempty"` // last error of the learner, with advice
	Done            bool            `json:"done"`            // last round absorbed and final scores stored
}

// ProtocolBytes is what went over the streams of a libp2p protocol.
type ProtocolBytes struct {
	Protocol string `json:"protocol"`
	Sent     int64  `json:"bytes_sent"`
	Received int64  `json:"bytes_received"`
}

// Privacy is what all deltas of an edge tell of its private rows at most: they are (Epsilon, Delta)-differentially private together, where
// neighbours are any two sets of private rows.
type Privacy struct {
	Clip    float64 `json:"clip"`    // norm of what leaves the node in a round
	Noise   float64 `json:"noise"`   // standard deviation, of Clip
	Epsilon float64 `json:"epsilon"` // 0 before the first delta
	Delta   float64 `json:"delta"`
}

// Reach is what a running node knows of how others get to it; empty lists and "" are what it does not know.
type Reach struct {
	Reachable   []string `json:"reachable,omitempty"`   // public addresses that a member has dialled back
	Unreachable []string `json:"unreachable,omitempty"` // ... and could not
	Places      []string `json:"places,omitempty"`      // circuit addresses through super-peers
	NAT         string   `json:"nat,omitempty"`         // the router in front: easy (hole punching works) or hard
}

// Peer of a node.
type Peer struct {
	PeerID    string  `json:"peer_id"`
	Name      string  `json:"name"`
	Role      string  `json:"role"`
	Connected bool    `json:"connected"`
	Addr      string  `json:"addr"`
	RTTMillis float64 `json:"rtt_ms"`
	Since     int64   `json:"since"` // Unix seconds
	Sent      int64   `json:"bytes_sent"`
	Received  int64   `json:"bytes_received"`
	Expires   int64   `json:"expires"`  // certificate, Unix seconds
	Disputed  int     `json:"disputed"` // aggregates of it to which a member objects
	Faults    float64 `json:"faults"`   // what it did wrong lately: invalid records, bad blobs, floods
	Gray      bool    `json:"gray"`     // not listened to because of that
}

// Round is one aggregate.
type Round struct {
	Round     uint64             `json:"round"`
	Leader    string             `json:"leader"`    // peer id
	Aggregate string             `json:"aggregate"` // record CID
	Created   int64              `json:"created"`   // Unix milliseconds
	Seconds   float64            `json:"seconds"`   // since the aggregate before
	Inputs    []Input            `json:"inputs"`
	Metrics   map[string]float64 `json:"metrics"`
	Verdict   string             `json:"verdict"`  // what this node found: verified, checked, false, or empty
	Disputes  int                `json:"disputes"` // members that object to it

	// What members fetch of it: the components that are theirs, and the supervision.
	Components       []Component `json:"components"`
	SupervisionBytes int64       `json:"supervision_bytes"`
	RecordBytes      int64       `json:"record_bytes"` // of the signed record
}

// Input of a round.
type Input struct {
	Delta      string   `json:"delta"`
	Round      uint64   `json:"round"` // the delta's; before the aggregate's if it came late
	Author     string   `json:"author"`
	Modalities []string `json:"modalities"`
	Weight     float64  `json:"weight"`
}

// Delta record as any node knows it.
type Delta struct {
	CID         string             `json:"cid"`
	Round       uint64             `json:"round"`
	Author      string             `json:"author"`
	AuthorName  string             `json:"author_name"`
	Seq         uint64             `json:"seq"`
	Created     int64              `json:"created"`
	Base        string             `json:"base"`
	Parents     []string           `json:"parents"`
	Modalities  []string           `json:"modalities"`
	Rows        uint64             `json:"rows"`
	PublicRows  uint64             `json:"public_rows"`
	Components  []Component        `json:"components"`
	Bytes       int64              `json:"bytes"`        // of all blobs
	RecordBytes int64              `json:"record_bytes"` // of the signed record
	Params      int64              `json:"params"`
	Metrics     map[string]float64 `json:"metrics"`
}

// Component of a delta.
type Component struct {
	Name      string `json:"name"`
	Signature string `json:"signature"`
	Codec     string `json:"codec"`
	Params    int64  `json:"params"`
	CID       string `json:"cid"`
	Bytes     int64  `json:"bytes"`
	Stored    bool   `json:"stored"` // the blob is on this node
}

// Model a node holds.
type Model struct {
	Name         string `json:"name"`
	Role         string `json:"role"`   // who uses it: edge, super
	Family       int    `json:"family"` // of the edges that use it
	CID          string `json:"cid"`
	Params       int64  `json:"params"`
	Bytes        int64  `json:"bytes"`
	Stored       bool   `json:"stored"`
	Architecture string `json:"architecture"` // gpt2, llama; empty like the rest if it is not stored
	Layers       int    `json:"layers"`
	Dim          int    `json:"dim"`
	Vocab        int    `json:"vocab"`
}

// Adapter tells of a LoRA adapter and its base model. The files are on the node's machine and never change; read them against the CIDs.
type Adapter struct {
	Of        string    `json:"of"`  // aggregate or delta
	CID       string    `json:"cid"` // of that record
	Round     uint64    `json:"round"`
	Author    string    `json:"author"` // peer id
	Alpha     float64   `json:"alpha"`
	Dropout   float64   `json:"dropout"`
	Component Component `json:"component"`
	File      string    `json:"file"`
	Base      Model     `json:"base"` // without architecture
	BaseFile  string    `json:"base_file"`

	// Reference is what Component is the difference to, for codecs of differences; of any other, it is empty.
	Reference     Component `json:"reference"`
	ReferenceFile string    `json:"reference_file"`
}

// Scores of the node on its own test rows.
type Scores struct {
	TestRows   int          `json:"test_rows"`
	Constant   *Score       `json:"constant"`
	Standalone []RoundScore `json:"standalone"` // by round; empty unless config baseline is on
	Together   []RoundScore `json:"together"`   // after absorbing the round's aggregate; round 0: before any exchange
}

// Score pair.
type Score struct {
	RougeLsum  float64 `json:"rouge_lsum"`
	ExactMatch float64 `json:"exact_match"`
}

// RoundScore is a score after a round.
type RoundScore struct {
	Round uint64 `json:"round"`
	Score
}
