package broker

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

const (
	testNow      = int64(1_795_406_515_000)
	testMaxDelay = 366 * 24 * time.Hour
)

// requestOf builds a delayRequest out of name, value pairs.
func requestOf(pairs ...string) (r delayRequest) {
	for i := 0; i < len(pairs); i += 2 {
		r.set(pairs[i], pairs[i+1])
	}
	return r
}

func atMs(ms int64) string { return strconv.FormatInt(ms, 10) }

func TestEverySpellingOfADelayIsResolved(t *testing.T) {
	maxMs := testMaxDelay.Milliseconds()
	for name, tc := range map[string]struct {
		props []string
		fire  int64 // 0 is at once
		level int
	}{
		"nothing":                    {},
		"level 1":                    {[]string{"DELAY", "1"}, testNow + 1_000, 1},
		"level 2":                    {[]string{"DELAY", "2"}, testNow + 5_000, 2},
		"level 18":                   {[]string{"DELAY", "18"}, testNow + 7_200_000, 18},
		"level 99 is level 18":       {[]string{"DELAY", "99"}, testNow + 7_200_000, 18},
		"level 0 is none":            {[]string{"DELAY", "0"}, 0, 0},
		"level -1 is none":           {[]string{"DELAY", "-1"}, 0, 0},
		"empty level is none":        {[]string{"DELAY", ""}, 0, 0},
		"deliver in the future":      {[]string{"TIMER_DELIVER_MS", atMs(testNow + 3456)}, testNow + 3456, 0},
		"deliver in the past":        {[]string{"TIMER_DELIVER_MS", atMs(testNow - 5000)}, 0, 0},
		"deliver now":                {[]string{"TIMER_DELIVER_MS", atMs(testNow)}, 0, 0},
		"deliver at 0":               {[]string{"TIMER_DELIVER_MS", "0"}, 0, 0},
		"deliver at min int64":       {[]string{"TIMER_DELIVER_MS", atMs(math.MinInt64)}, 0, 0},
		"deliver at the limit":       {[]string{"TIMER_DELIVER_MS", atMs(testNow + maxMs)}, testNow + maxMs, 0},
		"3000 ms":                    {[]string{"TIMER_DELAY_MS", "3000"}, testNow + 3000, 0},
		"0 ms":                       {[]string{"TIMER_DELAY_MS", "0"}, 0, 0},
		"-1 ms":                      {[]string{"TIMER_DELAY_MS", "-1"}, 0, 0},
		"min int64 ms":               {[]string{"TIMER_DELAY_MS", atMs(math.MinInt64)}, 0, 0},
		"limit in ms":                {[]string{"TIMER_DELAY_MS", atMs(maxMs)}, testNow + maxMs, 0},
		"3 s":                        {[]string{"TIMER_DELAY_SEC", "3"}, testNow + 3000, 0},
		"-3 s":                       {[]string{"TIMER_DELAY_SEC", "-3"}, 0, 0},
		"min int64 s":                {[]string{"TIMER_DELAY_SEC", atMs(math.MinInt64)}, 0, 0},
		"limit in s":                 {[]string{"TIMER_DELAY_SEC", atMs(maxMs / 1000)}, testNow + maxMs, 0},
		"start deliver time":         {[]string{"__STARTDELIVERTIME", atMs(testNow + 5000)}, testNow + 5000, 0},
		"start deliver in the past":  {[]string{"__STARTDELIVERTIME", atMs(testNow - 1)}, 0, 0},
		"timed before: timer":        {[]string{"TIMER_DELIVER_MS", atMs(testNow + 9), "TIMER_OUT_MS", "1"}, 0, 0},
		"timed before: start":        {[]string{"__STARTDELIVERTIME", atMs(testNow + 9), "TIMER_OUT_MS", "1"}, 0, 0},
		"timed before: garbage":      {[]string{"TIMER_DELIVER_MS", "abc", "TIMER_OUT_MS", "1"}, 0, 0},
		"timed before: level":        {[]string{"DELAY", "2", "TIMER_OUT_MS", "1"}, testNow + 5000, 2},
		"given back: timer":          {[]string{"TIMER_DELAY_MS", "9", "RETRY_TOPIC", "T"}, 0, 0},
		"given back: level":          {[]string{"DELAY", "3", "RETRY_TOPIC", "T", "TIMER_DELAY_MS", "9"}, testNow + 10_000, 3},
		"level beats seconds":        {[]string{"TIMER_DELAY_SEC", "9", "DELAY", "1"}, testNow + 1_000, 1},
		"level beats garbage":        {[]string{"TIMER_DELIVER_MS", "abc", "DELAY", "1"}, testNow + 1_000, 1},
		"level 0 lets seconds":       {[]string{"TIMER_DELAY_SEC", "9", "DELAY", "0"}, testNow + 9_000, 0},
		"seconds beat milliseconds":  {[]string{"TIMER_DELAY_MS", "8", "TIMER_DELAY_SEC", "9"}, testNow + 9_000, 0},
		"past seconds beat ms":       {[]string{"TIMER_DELAY_MS", "8", "TIMER_DELAY_SEC", "-9"}, 0, 0},
		"milliseconds beat deliver":  {[]string{"TIMER_DELIVER_MS", atMs(testNow + 7), "TIMER_DELAY_MS", "8"}, testNow + 8, 0},
		"deliver beats start":        {[]string{"__STARTDELIVERTIME", atMs(testNow + 6), "TIMER_DELIVER_MS", atMs(testNow + 7)}, testNow + 7, 0},
		"deliver beats garbage":      {[]string{"__STARTDELIVERTIME", "abc", "TIMER_DELIVER_MS", atMs(testNow + 7)}, testNow + 7, 0},
		"other properties are other": {[]string{"TIMER_ROLL_TIMES", "abc", "KEYS", "9"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := requestOf(tc.props...)
			s, ref := r.resolve(testNow, testMaxDelay)
			require.Nil(t, ref)
			require.Equal(t, schedule{fireMs: tc.fire, level: tc.level}, s)
		})
	}
}

func TestAnImpossibleDelayIsRefusedAsIllegalMessage(t *testing.T) {
	tooFarMs := testMaxDelay.Milliseconds() + 1
	for name, tc := range map[string]struct {
		name, value string
		reason      string
	}{
		"level is a word":             {"DELAY", "abc", "bad_delay"},
		"level is not whole":          {"DELAY", "1.5", "bad_delay"},
		"level with a blank":          {"DELAY", " 1", "bad_delay"},
		"seconds are a word":          {"TIMER_DELAY_SEC", "abc", "bad_delay"},
		"milliseconds are a word":     {"TIMER_DELAY_MS", "abc", "bad_delay"},
		"deliver is a word":           {"TIMER_DELIVER_MS", "abc", "bad_delay"},
		"deliver has an underscore":   {"TIMER_DELIVER_MS", "1_0", "bad_delay"},
		"deliver beyond int64":        {"TIMER_DELIVER_MS", "9223372036854775808", "bad_delay"},
		"start is a word":             {"__STARTDELIVERTIME", "tomorrow", "bad_delay"},
		"deliver one ms beyond":       {"TIMER_DELIVER_MS", atMs(testNow + tooFarMs), "delay_too_long"},
		"deliver at max int64":        {"TIMER_DELIVER_MS", atMs(math.MaxInt64), "delay_too_long"},
		"start one ms beyond":         {"__STARTDELIVERTIME", atMs(testNow + tooFarMs), "delay_too_long"},
		"milliseconds one beyond":     {"TIMER_DELAY_MS", atMs(tooFarMs), "delay_too_long"},
		"milliseconds max int64":      {"TIMER_DELAY_MS", atMs(math.MaxInt64), "delay_too_long"},
		"seconds one beyond":          {"TIMER_DELAY_SEC", atMs(testMaxDelay.Milliseconds()/1000 + 1), "delay_too_long"},
		"seconds whose ms overflow":   {"TIMER_DELAY_SEC", atMs(math.MaxInt64), "delay_too_long"},
		"seconds that wrap to little": {"TIMER_DELAY_SEC", atMs(math.MaxInt64/1000 + 1), "delay_too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			r := requestOf(tc.name, tc.value)
			_, ref := r.resolve(testNow, testMaxDelay)
			require.NotNil(t, ref)
			require.EqualValues(t, remoting.RespMessageIllegal, ref.code)
			require.Equal(t, tc.reason, ref.reason)
			require.Contains(t, ref.remark, "timer message illegal")
			require.Contains(t, ref.remark, tc.name)
		})
	}
}

func TestTheRefusalOfAFarTimeNamesTheLimit(t *testing.T) {
	r := requestOf(message.PropTimerDelayMs, atMs(math.MaxInt64))
	_, ref := r.resolve(testNow, testMaxDelay)
	require.Contains(t, ref.remark, "31622400000 ms (366 days)")
}

func TestALevelLongerThanTheLimitIsRefused(t *testing.T) {
	r := requestOf(message.PropDelayLevel, "18")
	_, ref := r.resolve(testNow, time.Hour)
	require.NotNil(t, ref)
	require.Contains(t, ref.remark, "1h0m0s")
}

func TestARefusalQuotesOnlyTheBeginningOfALongValue(t *testing.T) {
	r := requestOf(message.PropTimerDelayMs, string(make([]byte, 30_000)))
	_, ref := r.resolve(testNow, testMaxDelay)
	require.Less(t, len(ref.remark), 400)
}
