package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// patchAliases adds the configured lines of /etc/hosts. A name that the pod
// lists itself stays as it is.
func (m *mutation) patchAliases() {
	if len(m.c.HostAliases) == 0 {
		return
	}
	if m.p.hostNetwork {
		m.warn("the pod is on the host's network: it gets no host aliases and must resolve the authority by itself")
		return
	}
	var added [][]byte
	for _, want := range m.c.HostAliases {
		lacks := slices.DeleteFunc(slices.Clone(want.Hostnames), m.p.resolves)
		if len(lacks) == 0 {
			continue
		}
		i := slices.IndexFunc(m.p.aliases, func(a alias) bool { return string(a.ip) == want.IP })
		if i < 0 {
			b, _ := json.Marshal(HostAlias{IP: want.IP, Hostnames: lacks}) // strings always marshal
			added = append(added, b)
			continue
		}
		var names [][]byte
		for _, name := range lacks {
			names = append(names, quote(name))
		}
		m.extend(at("/spec/hostAliases", i)+"/hostnames", m.p.aliases[i].listed, names)
	}
	m.extend("/spec/hostAliases", m.p.aliasState, added)
}

// resolves tells whether the pod's host aliases have the name.
func (p *pod) resolves(name string) bool {
	for _, a := range p.aliases {
		if slices.ContainsFunc(a.names, func(b []byte) bool { return strings.EqualFold(string(b), name) }) {
			return true
		}
	}
	return false
}

// note is an annotation to set.
type note struct{ key, value string }

func (m *mutation) patchAnnotations() error {
	room := maxAnnotationSize - m.p.noteBytes
	if t := m.c.Trust; t == nil || len(t.PEM) == 0 {
		if _, there := m.p.noted[certificatesNote]; there {
			m.op("remove", "/metadata/annotations/"+pointerEscape.Replace(certificatesNote), nil)
		}
	} else {
		pem := string(bytes.TrimSpace(t.PEM)) + "\n"
		if !m.annotate(certificatesNote, pem, &room) {
			return apierr.New(apierr.Invalid, "the pod's annotations leave no room for the authority's CA certificates (%d bytes): shorten them", len(pem))
		}
	}
	if !m.annotate(injectedNote, m.remember(), &room) {
		m.warn("the pod's annotations leave no room for %s: it will not follow a change of its service account", injectedNote)
	}
	m.writeNotes()
	return nil
}

// annotate plans an annotation if it fits.
func (m *mutation) annotate(key, value string, room *int) bool {
	old, there := m.p.noted[key]
	if there && old == value {
		return true
	}
	size := len(key) + len(value)
	if there {
		size -= len(key) + len(old)
	}
	if size > *room {
		return false
	}
	*room -= size
	m.notes = append(m.notes, note{key, value})
	return true
}

func (m *mutation) remember() string {
	in := injected{Version: 1, Env: map[string]string{}, Kept: m.kept}
	for _, v := range m.vars {
		in.Env[v.name] = v.value
	}
	if audience := m.audience(); audience != wi.Audience {
		in.Audience = audience
	}
	b, err := json.Marshal(in)
	if err != nil {
		panic(fmt.Sprintf("marshalling strings: %v", err)) // cannot happen
	}
	return string(b)
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func (m *mutation) writeNotes() {
	if len(m.notes) == 0 {
		return
	}
	if m.p.annotations == present {
		for _, n := range m.notes {
			m.op("add", "/metadata/annotations/"+pointerEscape.Replace(n.key), quote(n.value))
		}
		return
	}
	all := map[string]string{}
	for _, n := range m.notes {
		all[n.key] = n.value
	}
	b, _ := json.Marshal(all) // strings always marshal
	if m.p.metadata {
		m.op("add", "/metadata/annotations", b)
	} else {
		m.op("add", "/metadata", fmt.Appendf(nil, `{"annotations":%s}`, b))
	}
}
