// Command bench measures Lanyard against its bounds, in the same process and the
// same run: what the crypto alone costs, what a bare HTTPS handler does, what
// etcd alone writes, what an API server does without a webhook. It prints a
// table; it is not a test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lanyard-io/lanyard/internal/server"
)

func main() {
	b := &bench{cpu: cpuTime}
	flag.IntVar(&b.workers, "c", 16, "concurrent clients")
	flag.DurationVar(&b.slice, "slice", time.Second, "length of one measurement")
	flag.IntVar(&b.rounds, "rounds", 5, "measurements of each case; the median counts")
	flag.StringVar(&b.only, "only", "", "run only the cases whose name holds this word")
	flag.StringVar(&b.binary, "binary", "bin/lanyard", "the built program, for start, memory and size")
	flag.IntVar(&b.identities, "identities", 0, "also measure a store with so many identities")
	flag.IntVar(&b.credentials, "credentials", 20, "federated credentials of each of these")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the run to this file")
	flag.Parse()
	debug.SetGCPercent(server.GCPercent())                                                 // as lanyard up does; it holds for the bounds too
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // what was started is stopped
	defer stop()
	if err := b.profiled(ctx, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	workers int
	slice   time.Duration
	rounds  int
	only    string
	binary  string
	cpu     func() time.Duration // used so far

	identities, credentials int
}

// op does one operation as worker w.
type op func(ctx context.Context, w int) error

// pair is a case and the bound that it is held against.
type pair struct {
	name, bound string
	want        float64 // least ratio to the bound
	subject     op
	against     op
	most        time.Duration // or the most at the median
	workers     int           // 0 for as many as asked for
}

func (b *bench) profiled(ctx context.Context, path string) error {
	if path == "" {
		return b.run(ctx)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	err = b.run(ctx)
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

func (b *bench) run(ctx context.Context) error {
	fmt.Printf("%d clients, median of %d × %s, case and bound in turns\n\n", b.workers, b.rounds, b.slice)
	fmt.Printf("%-30s %8s %8s %9s %9s   %-34s %8s %8s %6s %6s %9s\n",
		"case", "op/s", "p50", "p99", "cpu/op", "bound", "op/s", "cpu/op", "ratio", "want", "cpu ratio")
	if err := b.measureReviews(ctx); err != nil {
		return err
	}
	if !strings.HasPrefix(b.only, "admission") && b.only != "cluster" { // these need no lab, which takes a while to make
		if err := b.measureLab(ctx); err != nil {
			return err
		}
	}
	if strings.Contains("cluster", b.only) {
		return b.measureCluster(ctx)
	}
	return nil
}

func (b *bench) measureLab(ctx context.Context) error {
	progress("starting two servers")
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	pairs, err := l.pairs(ctx)
	if err != nil {
		return err
	}
	if err := b.compareAll(ctx, pairs); err != nil {
		return err
	}
	if strings.Contains("process", b.only) {
		if err := measureProcess(ctx, b.binary); err != nil {
			return err
		}
	}
	if b.identities > 0 {
		return b.measureScale(ctx, l)
	}
	return nil
}

func (b *bench) compareAll(ctx context.Context, pairs []pair) error {
	for _, p := range pairs {
		if !strings.Contains(p.name, b.only) {
			continue
		}
		if err := b.compare(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (b *bench) compare(ctx context.Context, p pair) error {
	if p.workers > 0 {
		one := *b
		one.workers, b = p.workers, &one
	}
	var subjects, bounds []result
	for range b.rounds {
		for _, m := range []struct {
			op  op
			all *[]result
		}{{p.against, &bounds}, {p.subject, &subjects}} {
			r, err := b.measure(ctx, m.op)
			if err != nil {
				return err
			}
			*m.all = append(*m.all, r)
		}
	}
	s, a := median(subjects), median(bounds)
	ratio, mark := s.rate/a.rate, ""
	if ratio < p.want {
		mark = "  below"
	}
	want := "-"
	switch {
	case p.want > 0:
		want = fmt.Sprintf("%.2f", p.want)
	case p.most > 0:
		want = "≤" + p.most.String()
		if s.p50 > p.most {
			mark = "  above"
		}
	}
	fmt.Printf("%-30s %8.0f %8s %9s %9s   %-34s %8.0f %8s %6.2f %6s %9.2f%s\n", p.name, s.rate,
		us(s.p50), us(s.p99), us(s.cpu), p.bound, a.rate, us(a.cpu), ratio, want, float64(a.cpu)/float64(s.cpu), mark)
	return nil
}

func us(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// result is one measurement. cpu is what the whole process used for an
// operation, the client's half included; other programs do not disturb it.
type result struct {
	rate     float64 // operations a second
	p50, p99 time.Duration
	cpu      time.Duration
}

// measure runs op in a closed loop for one slice, after a short warm-up.
func (b *bench) measure(ctx context.Context, op op) (result, error) {
	if _, _, err := b.loop(ctx, op, b.slice/5); err != nil {
		return result{}, err
	}
	before := b.cpu()
	took, elapsed, err := b.loop(ctx, op, b.slice)
	if err != nil {
		return result{}, err
	}
	used := b.cpu() - before
	slices.Sort(took)
	return result{
		rate: float64(len(took)) / elapsed.Seconds(),
		p50:  took[len(took)/2], p99: took[len(took)*99/100],
		cpu: used / time.Duration(len(took)),
	}, nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (b *bench) loop(ctx context.Context, op op, length time.Duration) (took []time.Duration, elapsed time.Duration, err error) {
	type outcome struct {
		took []time.Duration
		err  error
	}
	began := time.Now()
	outcomes := make(chan outcome, b.workers)
	for w := range b.workers {
		go func() {
			var o outcome
			for time.Since(began) < length && o.err == nil {
				t := time.Now()
				o.err = op(ctx, w)
				o.took = append(o.took, time.Since(t))
			}
			outcomes <- o
		}()
	}
	for range b.workers {
		o := <-outcomes
		took = append(took, o.took...)
		if o.err != nil {
			err = o.err
		}
	}
	return took, time.Since(began), err
}

func median(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.rate - b.rate) })
	return rs[len(rs)/2]
}
