// Command quickstart is the sample workload alone, for an image of a few
// megabytes: it reads one secret with the public Azure SDK, again and again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lanyard-io/lanyard/internal/quickstart"
)

func main() {
	once := flag.Bool("once", false, "read once and stop")
	interval := flag.Duration("interval", time.Minute, "pause between two reads")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *once, *interval)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, once bool, interval time.Duration) error {
	c, err := quickstart.FromEnv(os.Getenv)
	if err != nil {
		return fmt.Errorf("%w\nhint: the AZURE_ variables come from the webhook; label the pod azure.workload.identity/use=true", err)
	}
	if c.Interval = interval; once {
		c.Interval = 0
	}
	return quickstart.Run(ctx, c)
}
