package bench

const (
	// envelope is about what systems store beside a body.
	envelope = 512
	// copies of a message that may take memory: the page cache's and the system's own.
	copies = 2
	// maxFetch bounds the memory that is fetched before a run; a longer run reuses it.
	maxFetch = 4 << 30
)

// memoryFor is how many bytes of memory a run of w fills, roughly and at most.
func memoryFor(w Workload) int64 {
	return min(w.messages()*int64(w.size()+envelope)*copies, maxFetch)
}
