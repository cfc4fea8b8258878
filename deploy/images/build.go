package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// binary is a compiled program.
type binary struct {
	content  []byte
	revision string // of the sources, when the Go tool knew it
}

// compile builds a static program that holds no path of this machine.
func compile(ctx context.Context, p program, platform v1.Platform, out string) (binary, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, p.pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return binary{}, fmt.Errorf("building %s for %s: %w", p.name, platform, err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		return binary{}, err
	}
	return binary{content: content, revision: revision(out)}, nil
}

func revision(file string) string {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return ""
	}
	var rev, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}
