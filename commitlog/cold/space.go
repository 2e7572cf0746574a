package cold

// Space tells what the bytes of cold files on disk are there for, holes left out. A
// block counts as its last record does, the header as the first block, and the table as the last one.
type Space struct {
	Waiting int64 // has not fired
	Fired   int64 // has, and is kept
	Dead    int64 // fired so long ago that it is kept no more, and no hole is worth its cost yet
}

// Total is the sum of all.
func (sp *Space) Total() int64 { return sp.Waiting + sp.Fired + sp.Dead }

// SpaceAt adds up all files, of which what fired up to firedMs has fired and what fired
// up to deadMs, which is no later, is dead. It reads no file.
func (s *Set) SpaceAt(deadMs, firedMs int64) (sum Space) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range s.files {
		hole := x.hole()
		dead := hole
		if x.info.KeepMs <= deadMs {
			dead = max(x.upTo(deadMs), hole)
		}
		fired := max(x.upTo(firedMs), dead)
		sum.Dead += dead - hole
		sum.Fired += fired - dead
		sum.Waiting += x.info.FileSize - fired
	}
	return sum
}

// hole is how many bytes of the file were given back.
func (x *file) hole() int64 {
	return max(x.fileOffset(x.info.DeadTo)/pageSize*pageSize-pageSize, 0)
}

// upTo returns where the first block stands that has a record which fires after ms.
func (x *file) upTo(ms int64) int64 {
	i := x.firstAfter(ms)
	switch {
	case x.info.MaxFireMs <= ms:
		return x.info.FileSize
	case i == 0:
		return 0
	case i == len(x.blocks): // the table of a damaged file does not reach its end
		i--
	}
	return int64(x.blocks[i].at)
}
