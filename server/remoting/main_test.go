package remoting

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var (
	agreeRounds = flag.Int("agree.rounds", 5000, "damaged headers that both JSON decoders are tried on")
	agreeSeed   = flag.Int64("agree.seed", 1, "seed of the damage")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
