package command

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/duelog/duelog/bench"
)

var workloadCommands = []func(Process) *cobra.Command{
	sendCommand, fireCommand, latenessCommand, mixedCommand, footprintCommand, steadyCommand, recoverCommand, scaleCommand, indexCommand, coldCommand,
}

// workload makes a command that measures what workloads returns once the flags
// are read. bind adds the flags of its own. systems are those that it measures unless
// told otherwise; none: the store and the broker.
func workload(p Process, name, short string, bind func(*pflag.FlagSet), workloads func() []bench.Workload, systems ...string) *cobra.Command {
	if len(systems) == 0 {
		systems = []string{"embedded", "duelog"}
	}
	var s settings
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return measure(cmd.Context(), s, p, workloads()) },
	}
	cmd.Flags().SortFlags = false
	bind(cmd.Flags())
	s.bind(cmd.Flags(), systems...)
	return cmd
}

func one(w bench.Workload) func() []bench.Workload {
	return func() []bench.Workload { return []bench.Workload{w} }
}

func bindFlow(fs *pflag.FlagSet, f *bench.Flow, rate bool) {
	fs.IntVar(&f.Publishers, "publishers", 2, "connections that send")
	fs.IntVar(&f.Window, "window", 1000, "messages of a publisher that may wait for acknowledgement; 1: wait for each")
	fs.IntVar(&f.Batch, "batch", 0, "messages that may share a request or commit; 0: what suits the system")
	if rate {
		fs.Float64Var(&f.Rate, "rate", 0, "messages/s that are offered whatever becomes of them (open loop); 0: as fast as the window allows (closed loop)")
	}
}

func bindN(fs *pflag.FlagSet, n *int64, def int64, body *int, defBody int) {
	fs.Int64VarP(n, "n", "n", def, "messages")
	fs.IntVar(body, "body", defBody, "bytes per body")
}

func bindMix(fs *pflag.FlagSet, m *bench.Mix, def bench.Mix) {
	fs.StringVar((*string)(m), "mix", string(def), "delays: now, 30min, year (uniform), second (all in one), 90-9-1 (percent: 30 min, a day, 30-365 days)")
}

func sendCommand(p Process) *cobra.Command {
	w := &bench.Send{}
	return workload(p, "send", "How fast messages are taken", func(fs *pflag.FlagSet) {
		bindN(fs, &w.N, 200_000, &w.Body, 1024)
		bindMix(fs, &w.Mix, bench.MixHalfHour)
		bindFlow(fs, &w.Flow, true)
	}, one(w))
}

func fireCommand(p Process) *cobra.Command {
	w := &bench.Fire{}
	return workload(p, "fire", "How fast and how late due messages are delivered", func(fs *pflag.FlagSet) {
		bindN(fs, &w.N, 200_000, &w.Body, 1024)
		fs.DurationVar(&w.Within, "within", 10*time.Second, "time over which messages are due")
		fs.DurationVar(&w.Lead, "lead", 0, "time for publishing them ahead; 0: what a probe suggests")
		bindFlow(fs, &w.Flow, false)
	}, one(w))
}

func latenessCommand(p Process) *cobra.Command {
	w := &bench.Lateness{}
	return workload(p, "lateness", "How late messages are under light load", func(fs *pflag.FlagSet) {
		fs.DurationVar(&w.For, "for", 10*time.Second, "how long messages are published")
		fs.DurationVar(&w.Delay, "delay", 2*time.Second, "delay of each, plus up to a second")
		fs.IntVar(&w.Body, "body", 1024, "bytes per body")
		bindFlow(fs, &w.Flow, true)
		fs.Lookup("rate").DefValue = "200"
	}, one(w))
}

func mixedCommand(p Process) *cobra.Command {
	w := &bench.Mixed{}
	return workload(p, "mixed", "What ordinary traffic suffers from a hot second", func(fs *pflag.FlagSet) {
		fs.Int64Var(&w.Hot, "hot", 100_000, "scheduled messages that are due in one second")
		fs.DurationVar(&w.For, "for", 10*time.Second, "how long ordinary messages are published")
		fs.DurationVar(&w.Slow, "slow", 0, "time that a second group of consumers takes per message; 0: there is none")
		fs.IntVar(&w.Body, "body", 1024, "bytes per body")
		bindFlow(fs, &w.Flow, true)
		fs.Lookup("rate").DefValue = "2000"
	}, one(w))
}

func footprintCommand(p Process) *cobra.Command {
	w := &bench.Footprint{}
	return workload(p, "footprint", "What a message takes on disk and in memory", func(fs *pflag.FlagSet) {
		bindN(fs, &w.N, 200_000, &w.Body, 1024)
		bindMix(fs, &w.Mix, bench.MixEveryday)
		fs.BoolVar(&w.Retention, "retention", false, "also what is left after retention, where that can be made short")
		bindFlow(fs, &w.Flow, false)
	}, one(w))
}

func steadyCommand(p Process) *cobra.Command {
	w := &bench.Steady{}
	days := func(fs *pflag.FlagSet, d *time.Duration, name string, def int64, usage string) {
		*d = time.Duration(def) * 24 * time.Hour
		fs.DurationVar(d, name, *d, usage)
	}
	return workload(p, "steady", "What a message takes on disk once as much expires as comes (simulated time)", func(fs *pflag.FlagSet) {
		fs.Int64Var(&w.PerDay, "per-day", 4000, "messages per simulated day")
		fs.IntVar(&w.Body, "body", 1024, "bytes per body, which is JSON")
		bindMix(fs, &w.Mix, bench.MixEveryday)
		days(fs, &w.Warm, "warm", 370, "simulated time before it is weighed")
		days(fs, &w.Window, "window", 60, "simulated time in which it is weighed once a day")
	}, one(w), "embedded")
}

func recoverCommand(p Process) *cobra.Command {
	w := &bench.Recover{}
	cmd := workload(p, "recover", "How long a start takes after kill -9", func(fs *pflag.FlagSet) {
		bindN(fs, &w.N, 200_000, &w.Body, 1024)
		bindMix(fs, &w.Mix, bench.MixEveryday)
		bindFlow(fs, &w.Flow, false)
	}, one(w))
	return cmd
}

func scaleCommand(p Process) *cobra.Command {
	w := bench.Scale{}
	least, most := int64(10_000), int64(1_000_000)
	return workload(p, "scale", "Whether anything grows with what is pending", func(fs *pflag.FlagSet) {
		fs.Int64Var(&least, "min", least, "pending messages of the first run; each next one has ten times as many")
		fs.Int64Var(&most, "max", most, "pending messages of the last run at most")
		fs.Int64Var(&w.Burst, "burst", 100_000, "messages that are due in one second beside them")
		fs.IntVar(&w.Body, "body", 128, "bytes per body")
		bindMix(fs, &w.Mix, bench.MixYear)
		bindFlow(fs, &w.Flow, false)
	}, func() []bench.Workload { return decades(w, least, most) })
}

func indexCommand(p Process) *cobra.Command {
	w := &bench.Index{}
	return workload(p, "index", "What the delay index takes, without bodies", func(fs *pflag.FlagSet) {
		fs.Int64VarP(&w.N, "n", "n", 100_000_000, "entries, 32 bytes of disk each")
		bindMix(fs, &w.Mix, bench.MixYear)
	}, one(w), "embedded")
}

func coldCommand(p Process) *cobra.Command {
	w := &bench.Cold{}
	return workload(p, "cold", "How fast messages come that were stored days ago, and what a burst of them costs others", func(fs *pflag.FlagSet) {
		fs.Int64VarP(&w.N, "n", "n", 300_000, "messages in cold files")
		fs.IntVar(&w.Body, "body", 1024, "bytes per body, which is JSON")
		fs.IntVar(&w.Rounds, "rounds", 5, "rounds of reading, and of bursts")
		fs.Int64Var(&w.Burst, "burst", 10_000, "cold messages that are due within a second in each round")
		fs.Int64Var(&w.Rate, "rate", 1000, "other messages per second")
		fs.IntVar(&w.Readers, "readers", 32, "goroutines that read scattered messages")
	}, one(w), "embedded")
}

// decades returns w for every power of ten from least to most.
func decades(w bench.Scale, least, most int64) []bench.Workload {
	var out []bench.Workload
	for n := max(least, 1); n <= most; n *= 10 {
		step := w
		step.N = n
		out = append(out, &step)
	}
	return out
}
