package admission

import (
	"bytes"
	"slices"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// bindingAudience is the audience of identity bindings on AKS.
const bindingAudience = "api://AKSIdentityBinding"

// reserved tells the names that webhooks give to the token's volume.
func reserved(name []byte) bool {
	return bytes.HasPrefix(name, []byte(volumePrefix)) || string(name) == wi.TokenName
}

// readSources tells whether all sources of a volume are such as webhooks write,
// and which of the token's files it has. What is not certain is the workload's,
// and so is a field of tomorrow's API.
func (m *mutation) readSources(raw []byte) (ours bool, files []string) {
	c := &cursor{b: raw}
	ours = true
	for in := c.enter('[', "sources"); in && c.elem(); {
		kinds := 0
		for in := c.enter('{', "a source"); in && c.key(); {
			kinds++
			switch kind := string(c.name); kind {
			case "serviceAccountToken":
				file, ok := m.readTokenSource(c)
				files = append(files, file)
				ours = ours && ok
			case "configMap", "downwardAPI":
				ours = readItems(c) && ours
			case "clusterTrustBundle":
				ours = readBundle(c) && ours
			default:
				c.skip()
				ours = false
			}
		}
		ours = ours && kinds == 1
	}
	return ours && c.err == nil && len(files) > 0, files
}

func (m *mutation) readTokenSource(c *cursor) (file string, ours bool) {
	ours = true
	var audience string
	for in := c.enter('{', "a token's source"); in && c.key(); {
		switch string(c.name) {
		case "audience":
			audience = string(c.text("an audience"))
		case "path":
			file = string(c.text("a path"))
		case "expirationSeconds":
			c.skip()
		default:
			c.skip()
			ours = false
		}
	}
	return file, ours && (file == wi.File || file == wi.FileV15) && m.ourAudience(audience)
}

// ourAudience tells the audiences that webhooks ask for: by the configuration of
// now, by default, on AKS, and by what this pod remembers.
func (m *mutation) ourAudience(audience string) bool {
	t := m.c.TokenProxy
	return audience == m.c.audience() || audience == wi.Audience || audience == bindingAudience ||
		t != nil && audience == t.Audience || audience != "" && audience == m.old.Audience
}

// readItems tells whether a source is one file with CA certificates, of a config
// map or the pod's own annotation.
func readItems(c *cursor) bool {
	ours, files := true, 0
	for in := c.enter('{', "a source"); in && c.key(); {
		if string(c.name) != "items" {
			ours = (string(c.name) == "name" || string(c.name) == "optional") && ours
			c.skip()
			continue
		}
		for in := c.enter('[', "items"); in && c.elem(); {
			files++
			for in := c.enter('{', "an item"); in && c.key(); {
				switch string(c.name) {
				case "path":
					ours = authorityFile(c.text("a path")) && ours
				case "key":
					c.skip()
				case "fieldRef":
					ours = readField(c) && ours
				default:
					c.skip()
					ours = false
				}
			}
		}
	}
	return ours && files == 1
}

func readField(c *cursor) bool {
	ours := false
	for in := c.enter('{', "a field"); in && c.key(); {
		if string(c.name) == "fieldPath" {
			ours = string(c.text("a field's path")) == "metadata.annotations['"+certificatesNote+"']"
		} else {
			c.skip()
		}
	}
	return ours
}

func readBundle(c *cursor) bool {
	known, ours := true, false
	for in := c.enter('{', "a trust bundle"); in && c.key(); {
		switch string(c.name) {
		case "path":
			ours = authorityFile(c.text("a path"))
		case "name", "signerName", "labelSelector", "optional":
			c.skip()
		default:
			c.skip()
			known = false
		}
	}
	return known && ours
}

func authorityFile(path []byte) bool {
	return string(path) == proxyCAFile || string(path) == trustFile || string(path) == javaFile
}

// recognise finds the volumes that are ours to define: those that have nothing
// but our sources and are mounted where webhooks mount them, or nowhere.
func (m *mutation) recognise(t *tokenVolume) {
	type candidate struct {
		name          string
		files         []string
		here, mounted bool
	}
	var candidates []candidate
	for _, v := range m.p.volumes {
		if !reserved(v.name) || v.projected == nil {
			continue
		}
		if ours, files := m.readSources(v.sources); ours {
			candidates = append(candidates, candidate{name: string(v.name), files: files})
		}
	}
	for n := range m.p.all() {
		for _, mt := range n.mounts {
			here := !mt.odd && known(mt.path)
			i := slices.IndexFunc(candidates, func(c candidate) bool { return c.name == string(mt.name) })
			if i < 0 && here && bytes.HasPrefix(mt.name, []byte(volumePrefix)) && !m.p.defines(string(mt.name)) {
				// Made again without its volume.
				t.missing = append(t.missing, string(mt.name))
				candidates = append(candidates, candidate{name: string(mt.name)})
				i = len(candidates) - 1
			}
			if i >= 0 {
				candidates[i].here = candidates[i].here || here
				candidates[i].mounted = true
			}
			if i >= 0 && here && t.name == "" {
				t.name = string(mt.name)
			}
		}
	}
	for _, c := range candidates {
		if c.here || !c.mounted {
			t.own = append(t.own, c.name)
			t.v16 = t.v16 || slices.Contains(c.files, wi.File)
			t.v15 = t.v15 || slices.Contains(c.files, wi.FileV15)
		}
	}
}

func (p *pod) defines(name string) bool {
	return slices.ContainsFunc(p.volumes, func(v volume) bool { return string(v.name) == name })
}
