package remoting

import (
	"math/bits"
	"sync"
)

// Buffers are pooled in powers of two between these sizes. Larger ones are left
// to the garbage collector.
const (
	minChunkBits = 12 // 4 KiB
	maxChunkBits = 22 // 4 MiB
)

// chunk is a pooled buffer. b may be replaced by a larger slice while in use.
type chunk struct{ b []byte }

var chunkPools [maxChunkBits - minChunkBits + 1]sync.Pool

// getChunk returns a chunk with len(b) == 0 and room for at least n bytes.
func getChunk(n int) *chunk {
	class := max(bits.Len(uint(max(n, 1)-1)), minChunkBits)
	if class > maxChunkBits {
		return &chunk{b: make([]byte, 0, n)}
	}
	if k, ok := chunkPools[class-minChunkBits].Get().(*chunk); ok {
		return k
	}
	return &chunk{b: make([]byte, 0, 1<<class)}
}

// putChunk gives k back. Nobody may hold a view of it any more.
func putChunk(k *chunk) {
	class := bits.Len(uint(cap(k.b))) - 1 // rounded down: every buffer of a pool is large enough
	if class < minChunkBits || class > maxChunkBits {
		return
	}
	k.b = k.b[:0]
	chunkPools[class-minChunkBits].Put(k)
}
