package obs

import "runtime/debug"

// BuildInfo names the sources of the program.
type BuildInfo struct {
	Version string `json:"version"` // the module's version, or "(devel)"
	Commit  string `json:"commit"`  // with -dirty when the tree had changes; empty when unknown
	Go      string `json:"go"`
}

// Build reads what the Go tool noted in the running program.
func Build() BuildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return BuildInfo{Version: "(unknown)"}
	}
	return buildInfo(info)
}

func buildInfo(info *debug.BuildInfo) BuildInfo {
	b := BuildInfo{Version: info.Main.Version, Go: info.GoVersion}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if b.Commit != "" && dirty {
		b.Commit += "-dirty"
	}
	return b
}
