// Command images builds Lanyard's container images without a container engine:
// it compiles the programs for each platform and writes one OCI archive an
// image, which containerd, Docker, Podman, kind and k3s all load. The same
// sources, Go and flags give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// program is one of our programs and how its image runs it.
type program struct {
	name        string // of the image and of the file in it
	pkg         string // relative to the module's root
	description string
	env         []string
	dirs        []dir // that the program may write to when nothing is mounted there
}

var programs = []program{
	{
		name: "lanyard", pkg: "./cmd/lanyard",
		description: "Workload identity for any cluster: server, webhook and proxy",
		env:         []string{"LANYARD_DATA_DIR=/var/lib/lanyard"},
		dirs:        []dir{{"tmp", 0o1777, 0}, {"var", 0o755, 0}, {"var/lib", 0o755, 0}, {"var/lib/lanyard", 0o700, user}},
	},
	{
		name: "quickstart", pkg: "./cmd/quickstart",
		description: "The sample workload: reads one secret with the public Azure SDK",
	},
}

// config is what the command line says.
type config struct {
	out       string // folder of the archives
	registry  string // first part of the images' names
	tag       string
	platforms []v1.Platform
	programs  []program
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "lanyard-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	for _, p := range c.programs {
		var images []platformImage
		for _, platform := range c.platforms {
			b, err := compile(ctx, p, platform, filepath.Join(work, p.name+"-"+platform.Architecture))
			if err != nil {
				return err
			}
			img, err := image(p, b, platform)
			if err != nil {
				return fmt.Errorf("making the image %s for %s: %w", p.name, platform, err)
			}
			images = append(images, platformImage{img, platform})
		}
		file := filepath.Join(c.out, p.name+".tar")
		digest, err := writeArchive(file, c.registry+"/"+p.name+":"+c.tag, images)
		if err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		fmt.Fprintf(out, "%s\t%s/%s:%s@%s\n", file, c.registry, p.name, c.tag, digest)
	}
	return nil
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("images", flag.ContinueOnError)
	f.StringVar(&c.out, "out", "bin/images", "`folder` of the archives")
	f.StringVar(&c.registry, "registry", "localhost", "first `part` of the images' names, such as registry.example.org/team")
	f.StringVar(&c.tag, "tag", "dev", "`tag` of the images")
	platforms := f.String("platforms", "linux/amd64,linux/arm64", "comma-separated `list`; engines that know one platform only load the first")
	names := f.String("images", "lanyard,quickstart", "comma-separated `list`")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var faults []error
	for _, s := range strings.Split(*platforms, ",") {
		p, err := v1.ParsePlatform(s)
		if err != nil || p.OS != "linux" || p.Architecture != "amd64" && p.Architecture != "arm64" {
			faults = append(faults, fmt.Errorf("platform %q: want linux/amd64 or linux/arm64", s))
			continue
		}
		c.platforms = append(c.platforms, *p)
	}
	for _, name := range strings.Split(*names, ",") {
		p, ok := find(name)
		if !ok {
			faults = append(faults, fmt.Errorf("image %q: want lanyard or quickstart", name))
		}
		c.programs = append(c.programs, p)
	}
	return c, errors.Join(faults...)
}

func find(name string) (program, bool) {
	for _, p := range programs {
		if p.name == name {
			return p, true
		}
	}
	return program{}, false
}
