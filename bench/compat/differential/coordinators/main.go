package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	addresses := [brokers]*string{flag.String("kafka", "127.0.0.1:9092", "Apache Kafka's address"), flag.String("chronik", "127.0.0.1:9093", "Chronik's address")}
	seed := flag.Uint64("seed", 1, "the first run's seed")
	runs := flag.Uint64("runs", 1, "how many runs, each with the next seed")
	steps := flag.Int("steps", 300, "operations a run")
	verbose := flag.Bool("v", false, "print the script up to each difference")
	flag.Parse()
	unexplained, total := 0, 0
	for s := *seed; s < *seed+*runs; s++ {
		r := newRun(s)
		for b := range brokers {
			r.peers[b] = &peer{addr: *addresses[b]}
		}
		if err := r.begin(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for range *steps {
			r.step()
			if r.over || len(r.found) > 0 {
				break // what follows differs because of it
			}
		}
		total += len(r.log)
		for _, d := range r.found {
			if e := explains(d); e != nil {
				e.seen++
			} else {
				unexplained++
				fmt.Printf("seed %d, %s\n", s, d)
				if *verbose {
					for i, line := range r.log {
						fmt.Printf("    %3d %s\n", i, line)
					}
				}
			}
		}
	}
	for _, e := range explained {
		fmt.Printf("%5d times: %s\n", e.seen, e.why)
	}
	fmt.Printf("%d answers of each broker compared, %d unexplained differences\n", total, unexplained)
	if unexplained > 0 {
		os.Exit(1)
	}
}

func newRun(seed uint64) *run {
	r := &run{rand: rand.New(rand.NewPCG(seed, 0)), label: fmt.Sprintf("r%d-%d", seed, time.Now().UnixMilli())}
	for b := range brokers {
		r.texts[b], r.longs[b], r.nums[b] = map[string]string{}, map[string]int64{}, map[string]int32{}
		r.topics[b], r.byText[b], r.byLong[b] = map[string][16]byte{}, map[string]string{}, map[int64]string{}
	}
	return r
}
