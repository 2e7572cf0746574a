package remoting

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// fragments are spliced into captured headers: what JSON is made of, right and wrong.
var fragments = []string{
	`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", "\x00", "\x01", "\xff", "é", "😀",
	`\u0001`, `\ud83d`, `\ude00`, `\ud83d\ude00`, `\u00e9`, `\n`, `\/`, `\x`, `\u12`, `null`, `true`,
	`false`, `nul`, `0`, `-`, `-0`, `01`, `1.5`, `1e3`, `2147483647`, `2147483648`, `-2147483648`,
	`99999999999999999999`, `"code":7,`, `"opaque":"8",`, `"flag":null,`, `"extFields":{"a":1},`,
	`"language":3,`, `"remark":null,`, `"x":{"y":[1]},`, `"a":null,`, `"a":{},`, `"":"",`,
}

func mutate(rnd *rand.Rand, head string) string {
	b := []byte(head)
	for range 1 + rnd.IntN(3) {
		at, end := rnd.IntN(len(b)+1), 0
		end = at + min(rnd.IntN(4), len(b)-at)
		if rnd.IntN(4) == 0 {
			end = at
		}
		tail := string(b[end:])
		b = append(append(b[:at], fragments[rnd.IntN(len(fragments))]...), tail...)
	}
	return string(b)
}

// TestBothJSONDecodersAgree holds the fast decoder to the thorough one on
// captured headers with damage: whatever it accepts must mean the same.
func TestBothJSONDecodersAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(uint64(*agreeSeed), 7))
	heads := make([]string, 0, len(samples))
	for _, head := range samples {
		heads = append(heads, head)
	}
	accepted := 0
	for range *agreeRounds {
		head := mutate(rnd, heads[rnd.IntN(len(heads))])
		var fast, slow Command
		if !fast.decodeFast([]byte(head)) {
			continue
		}
		accepted++
		require.NoError(t, slow.decodeSlow([]byte(head)), "%q", head)
		require.Empty(t, cmp.Diff(slow, fast, sameCommand...), "%q", head)
	}
	require.NotZero(t, accepted)
}
