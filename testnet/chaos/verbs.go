package chaos

import "context"

// verb is what a line of a script can say.
type verb struct {
	usage string
	args  []checker // of the words after it; those beyond least may be left out
	least int
	keys  map[string]checker
	do    func(l *lab, ctx context.Context, s Step) error
}

var (
	nodesWord = check(readNodes)
	spanWord  = check(readSpan)
	moreWord  = check(readMore)
)

// keys of several verbs.
func within(more map[string]checker) map[string]checker {
	all := map[string]checker{"within": check(readDuration)}
	for k, c := range more {
		all[k] = c
	}
	return all
}

// verbs is the language of scripts, but for repeat, end and what describes the testnet.
var verbs map[string]verb

func init() { // the verbs' functions look at the list
	one := []checker{nodesWord}
	on := map[string]checker{"on": nodesWord}
	verbs = map[string]verb{
		"say":   {usage: `say "TEXT"`, args: []checker{anyText}, least: 1, do: (*lab).announce},
		"sleep": {usage: "sleep DURATION, or FROM..TO", args: []checker{spanWord}, least: 1, do: (*lab).sleep},
		"mark":  {usage: "mark", do: (*lab).mark},

		"kill":   {usage: "kill NODES", args: one, least: 1, do: (*lab).kill},
		"crash":  {usage: "crash NODES", args: one, least: 1, do: (*lab).crash},
		"start":  {usage: "start NODES", args: one, least: 1, do: (*lab).start},
		"stop":   {usage: "stop NODES", args: one, least: 1, do: (*lab).stop},
		"pause":  {usage: "pause NODES", args: one, least: 1, do: (*lab).pause},
		"resume": {usage: "resume NODES", args: one, least: 1, do: (*lab).resume},
		"await":  {usage: "await NODES PHASE within=DURATION", args: []checker{nodesWord, check(readState)}, least: 2, keys: within(nil), do: (*lab).await},
		"clock":  {usage: "clock NODES +10m", args: []checker{nodesWord, check(readShift)}, least: 2, do: (*lab).clock},

		"partition": {usage: "partition NODES | NODES", args: []checker{nodesWord, bar, nodesWord}, least: 3, do: (*lab).partition},
		"heal":      {usage: "heal", do: (*lab).heal},
		"link":      {usage: "link NODES delay=200ms loss=5%; without both the links are good again", args: one, least: 1, keys: map[string]checker{"delay": check(readDuration), "loss": check(readPercent)}, do: (*lab).link},

		"fill":    {usage: "fill NODE leave=SIZE", args: one, least: 1, keys: map[string]checker{"leave": check(readSize)}, do: (*lab).fill},
		"free":    {usage: "free NODE", args: one, least: 1, do: (*lab).free},
		"corrupt": {usage: "corrupt NODES count=N", args: one, least: 1, keys: map[string]checker{"count": check(readCount)}, do: (*lab).corrupt},

		"strangers": {usage: "strangers", do: (*lab).strangers},
		"hostile":   {usage: "hostile wave=DURATION limit=1.5 rate=1000", keys: map[string]checker{"wave": check(readDuration), "limit": check(readFactor), "rate": check(readCount)}, do: (*lab).hostile},
		"lie":       {usage: "lie NODE within=DURATION", args: one, least: 1, keys: within(nil), do: (*lab).lie},

		"expect rounds": {usage: "expect rounds +N on=NODES within=DURATION", args: []checker{moreWord}, least: 1, keys: within(on), do: (*lab).expectRounds},
		"expect deltas": {usage: "expect deltas +N on=NODES within=DURATION", args: []checker{moreWord}, least: 1, keys: within(on), do: (*lab).expectDeltas},
		"expect first":  {usage: "expect first NODES within=DURATION", args: one, least: 1, keys: within(nil), do: (*lab).expectFirst},
		"expect inputs": {usage: "expect inputs NODES within=DURATION", args: one, least: 1, keys: within(nil), do: (*lab).expectInputs},
		"expect once":   {usage: "expect once", do: (*lab).expectOnce},
		"expect same":   {usage: "expect same within=DURATION", keys: within(on), do: (*lab).expectSame},
		"expect kept":   {usage: "expect kept", do: (*lab).expectKept},
		"expect fsck":   {usage: "expect fsck on=NODES", keys: on, do: (*lab).expectFsck},
		"expect mended": {usage: "expect mended NODES", args: one, least: 1, do: (*lab).expectMended},
		"expect alive":  {usage: "expect alive on=NODES", keys: on, do: (*lab).expectAlive},
		"expect state":  {usage: "expect state NODES STATE within=DURATION", args: []checker{nodesWord, check(readState)}, least: 2, keys: within(nil), do: (*lab).expectState},
		"expect apart":  {usage: "expect apart NODES | NODES within=DURATION", args: []checker{nodesWord, bar, nodesWord}, least: 3, keys: within(nil), do: (*lab).expectApart},
	}
}

func anyText(string) error { return nil }
