package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// producerIDBlock is how many ids one record reserves, as in Kafka
// (ProducerIdsBlock). What is left of a block at the end of the process is
// never handed out.
const producerIDBlock = 1000

// producerIDs is the block that is being handed out.
type producerIDs struct {
	// turn is a mutex that a context can give up on: whoever took the value out
	// owns next and end.
	turn      chan struct{}
	next, end int64
}

func (p *producerIDs) init() {
	p.turn = make(chan struct{}, 1)
	p.turn <- struct{}{}
}

// AllocateProducerIDs hands out the first of n fresh producer ids; blocks of
// ids are reserved durably. May wait once per block: not on a loop.
func (c *Cluster) AllocateProducerIDs(ctx context.Context, n int64) (first int64, err error) {
	if n < 1 {
		return 0, fmt.Errorf("cluster: %d producer ids cannot be allocated", n)
	}
	p := &c.ids
	select {
	case <-p.turn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	if p.end-p.next < n {
		var next, end int64
		err := c.Commit(ctx, func(img *Image) ([]Record, error) {
			next = img.nextProducerID
			size := max(n, producerIDBlock)
			if next > math.MaxInt64-size {
				return nil, errors.New("cluster: all producer ids are used up")
			}
			end = next + size
			return []Record{ProducerIDsRecord{Next: end}}, nil
		})
		if err != nil {
			return 0, err
		}
		p.next, p.end = next, end
	}
	first = p.next
	p.next += n
	return first, nil
}
