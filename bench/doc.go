// Package bench measures systems that deliver messages at a time: how many they
// take, how late they deliver, what a message costs them in CPU time, memory and
// disk, and how long they take to come back after a kill. It drives duelog, as a
// library or over the wire, and others in the same way, so that figures can be
// held against each other and against what the machine could do at best.
//
//	duelog-bench ── command ── Run(workload, target) ──┬── System: duelog/Daemon, duelog/Embedded, peers/...
//	                   │            │                  └── ledger: every message, once, unaltered, not early
//	                   │            └── Result ── File (JSON)
//	                   └── report: table, Markdown, benchstat lines, HTML, PNG, comparison
//
// # What a run is
//
// A Workload is a struct of settings. Run makes a fresh system in a fresh
// directory, warms it up, loads it, checks it, and removes every process and file.
//
//	Send       taking messages: rate, CPU time, latency of acknowledgements
//	Fire       N due within a time: delivery rate, lateness, CPU time of both
//	Lateness   light load: the least lateness
//	Mixed      ordinary traffic beside a hot second, and beside a slow group
//	Footprint  bytes stored and written per message: pending, fired, expired
//	Steady     the same over a year and more of simulated time
//	Recover    kill -9 with N pending: time to the first acknowledgement
//	Scale      append, memory, restart and delivery with N pending
//	Index      the delay index alone, with more entries than there is room for bodies
//	Cold       messages that were stored days ago: read, and due beside others
//
// Before the system starts, a run makes the machine hold as much free memory as the
// messages will fill: under a hypervisor that takes free memory back, each page costs
// a fault of the host when it is used again, 2 us per KiB of page cache where this was
// found. The kernel charges that time to whoever comes first; with it, figures tell
// how long the machine was idle before. See probe.FetchMemory.
//
// # A run checks itself
//
// Every body carries its series, id, due time and a checksum. A ledger holds what
// comes against what was acknowledged. A message that was lost, came twice, came
// before its time or was altered fails the run with a *VerdictError, and the
// result then has those counts and no other figure. The error names the first of the
// lost, and a system that can look for them (Finder) says where they are. Scheduled
// messages that stay pending are counted by the system itself where it can.
//
// # What the figures mean
//
// With a rate the loop is open: the intended time of every message is fixed, and
// latencies count from it, whatever held the sender up. Without one it is closed,
// and params say so. Lateness is arrival at the consumer minus due time, both by
// the one clock of the machine; it is signed. Percentiles are HdrHistogram's, to
// three digits. The names of metrics end in their unit:
//
//	send_per_s             acknowledged messages per second
//	ack_p50_ms ..p99_ms    latency of acknowledgements
//	cpu_us_per_msg         CPU time of the system's processes per message: of Send, for taking
//	                       it, also of Scale, Recover and Footprint; of Fire, for firing and
//	                       delivering it. Embedded: client included
//	..._cpu_us_per_msg     of it, each process of a system that has several: broker, nameserver
//	client_cpu_us_per_msg  the same of the load generator. Of a broker that ran before and is none
//	                       of our processes it stands alone: neither CPU time, memory nor files
//	                       of it are known, and a busy machine cannot be told from a busy broker
//	lateness_p50_ms ..p99  of delivery; with _min_ and _max_
//	drain_per_s            delivered per second, from the first due time to the last arrival
//	fire_per_s             delivered in the best second
//	early lost duplicates  0, or the run failed; after the kill of Recover a duplicate is only counted
//	bytes_per_pending      on disk, once all that was in memory is there
//	bytes_stored_ratio     of a fired message to an ordinary one of the same body
//	bytes_written_ratio    the same for bytes handed to the block layer in all
//	restart_ms             from the start after a kill to the first acknowledgement
//	restart_cpu_ms         CPU time of the processes until then
//	rss_bytes              resident memory, shared pages by share
//	append_ns              wall time per acknowledged message
//	scattered_disk_ratio   of Cold: messages read, a block each, to random reads of these blocks
//	lateness_p99_ratio     of Cold: of other messages, beside a burst to without
//	limit_fraction         share of the bound that params name; see package limit
//	offered_fraction       share of the rate at which messages were due
//	load_avg other_cpus    how busy the machine was: load average at the start, cores that
//	                       neither system nor load generator used
//
// When others take more than a tenth of the machine the result is marked loaded:
// CPU time, bytes and ratios still hold then, seconds do not.
//
// # Concurrency
//
// Run is for one goroutine, and one Run at a time gives figures that mean
// anything. Publishers have a goroutine each, on a locked thread with a timerfd of
// its own. Ledgers are lock-free but for their histogram.
//
// # What it does not do
//
// It measures one machine over loopback: no network, no replication. The load
// generator shares the cores with the system.
package bench
