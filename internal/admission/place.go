package admission

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// elsewhere are the mounts for a container that has volumes of its own in the
// way of the layout's: in other folders, because what is in the way may be at any
// folder above.
var elsewhere = []string{"/var/run/secrets/lanyard.io", "/lanyard.io"}

// clean is a mount's path as the kubelet sees it. In most images /var/run is
// a link to /run, so that both may be one place.
func clean(p []byte) (_ []byte, alias bool) {
	if len(p) == 0 || p[0] != '/' || p[len(p)-1] == '/' || bytes.Contains(p, []byte("//")) || bytes.Contains(p, []byte("/.")) {
		p = []byte(path.Clean("/" + string(p)))
	}
	if within(p, "/run") {
		return append([]byte("/var"), p...), true
	}
	return p, false
}

// within tells whether a path is another one, or below it.
func within[P, Q string | []byte](p P, q Q) bool {
	return len(q) == 1 || len(p) >= len(q) && string(p[:len(q)]) == string(q) && (len(p) == len(q) || p[len(q)] == '/')
}

// known tells whether a clean path is one where a webhook mounts the token:
// this one or upstream, which after v1.6 mounts each volume at a folder of its
// own, https://github.com/Azure/azure-workload-identity/pull/1749.
func known(p []byte) bool {
	return string(p) == wi.Mount || string(p) == wi.MountV15 || below(p) ||
		string(p) == elsewhere[0] || string(p) == elsewhere[1]
}

// below tells upstream's newest mounts, which are one folder below v1.6's.
func below(p []byte) bool {
	return len(p) > len(wi.Mount)+1 && within(p, wi.Mount) && bytes.IndexByte(p[len(wi.Mount)+1:], '/') < 0
}

// mounted is the container's mount at a path, nil if there is none.
func (n *container) mounted(place string) *mount {
	for i := range n.mounts {
		if string(n.mounts[i].path) == place {
			return &n.mounts[i]
		}
	}
	return nil
}

// has tells whether the container has a volume of ours at a path.
func (t *tokenVolume) has(n *container, place string) bool {
	mt := n.mounted(place)
	return mt != nil && t.ours(mt)
}

func (t *tokenVolume) ours(mt *mount) bool {
	return !mt.odd && slices.Contains(t.own, string(mt.name))
}

// free tells whether the runtime can mount a volume at the path: nothing is
// there or below, and what is above can be written, as the mount needs a folder.
func (m *mutation) free(n *container, place string) bool {
	for i := range n.mounts {
		mt := &n.mounts[i]
		if within(mt.path, place) || within(place, mt.path) && !m.p.writable(mt) {
			return false
		}
	}
	return true
}

func (p *pod) writable(mt *mount) bool {
	i := slices.IndexFunc(p.volumes, func(v volume) bool { return bytes.Equal(v.name, mt.name) })
	if i < 0 || mt.readOnly || p.volumes[i].projected != nil {
		return false
	}
	switch string(p.volumes[i].kind) {
	case "configMap", "secret", "downwardAPI", "image":
		return false
	}
	c, readOnly := &cursor{b: p.volumes[i].source}, false
	if c.peek() != '{' {
		return true
	}
	for in := c.enter('{', "a volume"); in && c.key(); {
		name := c.name
		readOnly = string(c.skip()) == "true" && string(name) == "readOnly" || readOnly
	}
	return !readOnly
}

// place finds where the container has the token, or can get it: "" if nowhere.
func (m *mutation) place(n *container) string {
	t := &m.token
	for _, p := range t.mounts {
		if t.has(n, p) || m.free(n, p) {
			return p
		}
	}
	for i := range n.mounts {
		if mt := &n.mounts[i]; t.ours(mt) && known(mt.path) {
			return string(mt.path)
		}
	}
	for _, p := range elsewhere {
		if m.free(n, p) {
			return p
		}
	}
	return ""
}

// warnOfPlace says what a container's own volumes change.
func (m *mutation) warnOfPlace(n *container) {
	switch first := m.token.mounts[0]; {
	case n.place == first, below([]byte(n.place)):
	case n.place == "":
		m.warn("container %s mounts volumes of its own at or around %s: they stay, and it gets no token", clip(n.name), first)
	default:
		m.warn("container %s mounts a volume of its own at or around %s: it stays, and the token is at %s", clip(n.name), first, n.place)
	}
}

// tokenFile is the token's file at a place.
func (m *mutation) tokenFile(place string) string {
	if place == wi.MountV15 || m.token.mounts[0] == wi.MountV15 && !below([]byte(place)) && place != wi.Mount {
		return place + "/" + wi.FileV15
	}
	return place + "/" + wi.File
}

// valueAt is a variable's value in a container, and its element of env.
func (m *mutation) valueAt(n *container, v *variable) (value string, element []byte) {
	first := m.token.mounts[0]
	switch {
	case !v.file || n.place == first || n.place == "":
		return v.value, v.json
	case v.name == wi.TokenFileEnv:
		value = m.tokenFile(n.place)
	default:
		value = strings.Replace(v.value, first, n.place, 1)
	}
	return value, v.element(value)
}

// movedTo tells whether a value is an earlier one, with the file at another place.
func movedTo(place, name string, earlier, value []byte) bool {
	if place == "" || !bytes.Contains(value, []byte(place)) {
		return false
	}
	if name == wi.TokenFileEnv {
		return string(value) == place+"/"+wi.File || string(value) == place+"/"+wi.FileV15
	}
	for _, layout := range []string{wi.Mount, wi.MountV15} {
		if s := string(earlier); strings.Contains(s, layout+"/") && string(value) == strings.Replace(s, layout, place, 1) {
			return true
		}
	}
	return false
}
