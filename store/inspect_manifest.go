package store

import (
	"fmt"
	"strings"
)

// ManifestOp is one operation in a MANIFEST, for people to read.
type ManifestOp struct {
	Offset int64  // of the operation in the file
	Append uint64 // number of the append that brought it
	Name   string // "segment", "run", ...
	Fields []ManifestField
}

// ManifestField is a named field of an operation: an int64 or a string.
type ManifestField struct {
	Offset int64 // in the file
	Name   string
	Value  any
}

// opLayouts describes the fields that applyOne reads, one operation each: its
// name, then field:type. A name of type topic is a u16 length and the bytes;
// lanes is a count and as many i64; places is a u32 count and as many queue ids with
// the place (when, loc) up to which they are done; units is a count of bytes and the
// times of as many units, of which the latest fire/store are shown, in seconds since 1970.
var opLayouts = map[uint8]string{
	opSegment:     "segment lane:u8 base:i64 end:i64 sealed:u8 records:i64 max_store_ms:i64 max_fire_ms:i64 created_ms:i64 last_store_ms:i64",
	opSegmentGone: "segment-gone lane:u8 base:i64",
	opRun:         "run lane:u8 start:i64 end:i64 count:i64 min_fire_ms:i64 max_fire_ms:i64",
	opRunGone:     "run-gone lane:u8 start:i64 end:i64",
	opIndexed:     "indexed lane:u8 up_to:i64",
	opQueue:       "queue id:u32 queue:i32 topic:topic",
	opQueueGone:   "queue-gone id:u32",
	opQueueExtent: "queue-extent id:u32 min:i64 next:i64",
	opMark:        "mark fired_ms:i64 absorbed:lanes",
	opSplit:       "split light_ms:i64 since:places",
	opReplay:      "replay journal:i64 lane0:i64",
	opNextQueue:   "next-queue id:u32",
	opGivenBack:   "given-back lane:u8 base:i64 from:i64 to:i64",
	opUnits:       "units lane:u8 base:i64 first:u32 dies:units",
	opCold:        "cold base:i64 size:i64 file_size:i64 records:i64 min_fire_ms:i64 max_fire_ms:i64 dead_to:i64 keep_ms:i64",
	opColdGone:    "cold-gone base:i64",
	opCut:         "cut base:i64 end:i64 cut_ms:i64",
	opKeyRun:      "key-run lane:u8 start:i64 end:i64 count:i64",
	opKeyRunGone:  "key-run-gone lane:u8 start:i64 end:i64",
	opKeysUpTo:    "keys-up-to lane:u8 up_to:i64",
}

// ManifestOps calls visit for every operation of the MANIFEST in dir, in order,
// until visit returns false. Errors are those of ReadManifest; damage is told after what
// stands before it was visited.
func ManifestOps(dir string, visit func(ManifestOp) bool) error {
	path := manifestPath(dir)
	b, scan, damage := readManifest(path)
	at, number := int64(manifestHeaderSize), uint64(1)
	for i, payload := range scan.payloads {
		_, seq, err := decodeManifestRecord(b[at:])
		if err != nil {
			return fmt.Errorf("read %s: record %d: %w", path, i, err)
		}
		number = seq >> manifestSeqShift
		at += manifestRecordHeader
		more, err := eachOp(payload, at, number, visit)
		if err != nil {
			return fmt.Errorf("read %s: record %d: %w", path, i, err)
		}
		if !more {
			return nil
		}
		at += int64(len(payload))
	}
	return damage
}

// eachOp visits the operations of one edit, whose first byte stands at off.
func eachOp(e edit, off int64, number uint64, visit func(ManifestOp) bool) (more bool, err error) {
	r := editReader{b: e}
	for len(r.b) > 0 {
		rest := len(r.b)
		before := r.b
		st := newCatalogState()
		st.single = true
		r.applyOne(st) // decides how long the operation is
		if r.err != nil {
			return false, r.err
		}
		op := describeOp(before[:rest-len(r.b)], off)
		op.Append = number
		if !visit(op) {
			return false, nil
		}
		off += int64(rest - len(r.b))
	}
	return true, nil
}

// describeOp names the fields of one operation, which stands at off.
func describeOp(b []byte, off int64) ManifestOp {
	layout, ok := opLayouts[b[0]]
	if !ok {
		layout = fmt.Sprintf("operation-%d", b[0])
	}
	names := strings.Fields(layout)
	op := ManifestOp{Offset: off, Name: names[0]}
	r := editReader{b: b[1:]}
	for _, field := range names[1:] {
		name, kind, _ := strings.Cut(field, ":")
		at := off + int64(len(b)-len(r.b))
		switch kind {
		case "lanes":
			for i := range int(r.u8()) {
				at := off + int64(len(b)-len(r.b))
				op.Fields = append(op.Fields, ManifestField{at, fmt.Sprintf("%s_%d", name, i), r.i64()})
			}
		case "places":
			for n := r.u32(); n > 0 && r.err == nil; n-- {
				at := off + int64(len(b)-len(r.b))
				id, when, loc := r.u32(), r.i64(), r.i64()
				op.Fields = append(op.Fields, ManifestField{at, fmt.Sprintf("%s_%d", name, id), fmt.Sprintf("%x %x", uint64(when), uint64(loc))})
			}
		case "units":
			us, _ := parseUnits(r.take(int(r.u32())))
			op.Fields = append(op.Fields, ManifestField{at, name, describeUnits(us)})
		default:
			op.Fields = append(op.Fields, ManifestField{at, name, r.field(kind)})
		}
	}
	if len(r.b) > 0 {
		op.Fields = append(op.Fields, ManifestField{off + int64(len(b)-len(r.b)), "bytes", fmt.Sprintf("%x", r.b)})
	}
	return op
}

func describeUnits(us []unit) string {
	var last unit
	for _, u := range us {
		last.raise(u)
	}
	return fmt.Sprintf("%d units, up to %d/%d", len(us), last.fireSec, last.storeSec)
}

func (r *editReader) field(kind string) any {
	switch kind {
	case "u8":
		return int64(r.u8())
	case "u32":
		return int64(r.u32())
	case "i32":
		return int64(int32(r.u32()))
	case "topic":
		return string(r.take(int(r.u16())))
	default:
		return r.i64()
	}
}
