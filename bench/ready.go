package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// WaitReady asks a broker for its versions until it answers, at the most for
// the time given. It looks every millisecond.
func WaitReady(ctx context.Context, addr string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c, err := Target{Bootstrap: addr}.dial(ctx, "chronik-bench-ready")
		if err == nil {
			_, err = roundTrip[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), most)
			c.close()
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer within %s: %w", addr, most, err)
		}
	}
}
