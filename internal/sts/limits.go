package sts

import (
	"context"
	"math"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/limit"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// Limits of what one address may have that nobody has authenticated, each minute.
// Zero is the default, a negative one no limit. An address is one of IPv4, or a
// /64 of IPv6; its /48 has eight times as much.
type Limits struct {
	// Refusals of token requests. Beyond it, a request that is refused gets 429 in
	// place of the reason; one that succeeds is answered as ever. Default 600.
	Refusals int
	// DeviceCodes and attempts at one. Default 120.
	DeviceCodes int
	// SignIns with a password that is not right. Default 60.
	SignIns int
}

// limits are the tables behind Limits.
type limits struct {
	refusals, deviceCodes, signIns *limit.Table
}

// Of each limit half a minute's worth may come at once, of device codes a quarter.
func newLimits(c Limits, now func() time.Time) limits {
	table := func(perMinute, usual, share int) *limit.Table {
		if perMinute == 0 {
			perMinute = usual
		}
		return limit.New(limit.Config{PerMinute: float64(perMinute), Burst: math.Ceil(float64(perMinute) / float64(share)), Now: now})
	}
	return limits{refusals: table(c.Refusals, 600, 2), deviceCodes: table(c.DeviceCodes, 120, 4), signIns: table(c.SignIns, 60, 2)}
}

// Limited is how often each limit has been met.
func (s *Server) Limited() map[string]func() uint64 {
	return map[string]func() uint64{
		"token_refusals": s.limits.refusals.Limited, "device_codes": s.limits.deviceCodes.Limited, "sign_ins": s.limits.signIns.Limited,
	}
}

// source is the request's sender.
func source(ctx context.Context) limit.Source { return limit.SourceOf(obs.RequestFrom(ctx).Remote) }

// shortestWait is the shortest one that an answer can tell: Retry-After has whole seconds.
const shortestWait = time.Second

func tooMany(what string, wait time.Duration) error {
	return &apierr.Error{
		Kind: apierr.Throttled, RetryAfter: max(wait, shortestWait),
		Detail: "Too many " + what + " from this address. Wait as long as Retry-After says.",
	}
}

// countRefusal counts a token request that was refused, and gives the error to answer
// with. A device that waits for its person is not counted: the protocol has it ask.
func (s *Server) countRefusal(ctx context.Context, err error) error {
	if c := codeOf(err); c == nil || c.number == codeDevicePending.number {
		return err
	}
	if wait := s.limits.refusals.Take(source(ctx)); wait > 0 {
		return tooMany("refused token requests", wait)
	}
	return err
}
