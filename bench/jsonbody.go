package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonBody writes the body of message id, size bytes of JSON as applications send it:
// an order with ids that look random, names out of a few hundred and prices. It is
// the same each time, so that a body can be checked without being kept.
func jsonBody(dst []byte, id uint64, size int) []byte {
	r := id
	next := func(n uint64) uint64 { r = scramble(r); return r % n }
	dst = fmt.Appendf(dst[:0], `{"id":%d,"orderId":"%016x-%08x","status":"%s","customer":{"id":%d,"name":"%s %s","email":"%s.%s%d@example.com","tier":"%s"},"createdAt":"2026-%02d-%02dT%02d:%02d:%02dZ","items":[`,
		id, scramble(next(1<<62)), next(1<<32), pick(next, statuses), next(10_000_000), pick(next, firstNames), pick(next, lastNames),
		pick(next, firstNames), pick(next, lastNames), next(1000), pick(next, tiers), 1+next(12), 1+next(28), next(24), next(60), next(60))
	const tail = `],"note":"` + `"}`
	for first := true; ; first = false {
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"sku":"%s-%05d","title":"%s %s","quantity":%d,"unitPrice":{"amount":%d.%02d,"currency":"EUR"},"warehouse":"%s"}`,
			pick(next, kinds), next(100_000), pick(next, adjectives), pick(next, kinds), 1+next(9), next(500), next(100), pick(next, warehouses))
		if len(dst)+len(tail) > size {
			dst = dst[:before]
			break
		}
	}
	dst = append(dst, `],"note":"`...)
	for len(dst) < size-2 {
		dst = append(dst, "0123456789abcdef"[next(16)])
	}
	return append(dst, `"}`...)
}

func pick(next func(uint64) uint64, words []string) string { return words[next(uint64(len(words)))] }

var (
	statuses   = []string{"created", "paid", "packed", "shipped", "delivered", "cancelled"}
	tiers      = []string{"basic", "silver", "gold"}
	firstNames = []string{"Anna", "Ben", "Carla", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kim", "Lena", "Malik", "Nora", "Omar", "Paula"}
	lastNames  = []string{"Aydin", "Becker", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova", "Jansen", "Kowalski", "Lopez", "Meyer", "Novak", "Okafor", "Petrov"}
	kinds      = []string{"chair", "lamp", "table", "shelf", "sofa", "mirror", "carpet", "clock"}
	adjectives = []string{"blue", "oak", "small", "classic", "folding", "round", "steel", "soft"}
	warehouses = []string{"BER-1", "HAM-2", "LYS-1", "MAD-3"}
)

// minJSONBody is the least size of jsonBody, in bytes: one item and any name.
const minJSONBody = 512

// parseJSONBody returns the id of a body, which must be that of jsonBody in every byte.
func parseJSONBody(body, scratch []byte) (id uint64, err error) {
	var head struct {
		ID uint64 `json:"id"`
	}
	end := bytes.IndexByte(body, ',')
	if end < 0 || json.Unmarshal(append(append(scratch[:0], body[:end]...), '}'), &head) != nil {
		return 0, errBodyHeader
	}
	if !bytes.Equal(body, jsonBody(scratch, head.ID, len(body))) {
		return head.ID, errBodyCRC
	}
	return head.ID, nil
}
