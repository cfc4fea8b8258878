package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// The volume, and what of it is ours. Upstream v1.6 names its volume by a hash of
// the pod's name, v1.5 as the file.
const (
	volumePrefix = "azure-workload-identity-reserved-"
	volumeName   = volumePrefix + "token"

	proxyCAFile = "ca-cert/ca.crt"
	trustFile   = "trust/ca.crt"
	javaFile    = "trust/truststore.p12"
)

// tokenVolume is the plan for the pod's projected volumes: usually one, more
// when the pod was mutated by others before.
type tokenVolume struct {
	name     string   // of the volume that new mounts use
	own      []string // names that are ours to define
	missing  []string // of own: mounted, but without a volume
	mounts   []string // where containers get it; the first one is what the variables name
	v16, v15 bool     // the files that the volumes must hold
}

func (m *mutation) planToken() {
	m.token = tokenVolume{mounts: []string{wi.Mount}}
	t := &m.token
	switch m.c.Layout {
	case LayoutV15:
		t.mounts = []string{wi.MountV15}
	case LayoutBoth:
		t.mounts = []string{wi.Mount, wi.MountV15}
	}
	t.v16, t.v15 = t.mounts[0] == wi.Mount, t.mounts[len(t.mounts)-1] == wi.MountV15
	m.recognise(t)
	switch {
	case t.name != "":
	case len(t.own) > 0:
		t.name = t.own[0]
	default:
		t.name = m.p.freeName()
		t.own, t.missing = []string{t.name}, []string{t.name}
	}
	also := ""
	for n := range m.p.all() {
		n.place = m.place(n)
		for i := range n.mounts {
			mt := &n.mounts[i]
			if !t.ours(mt) || !known(mt.path) {
				continue
			}
			v15 := string(mt.path) == wi.MountV15
			t.v16, t.v15 = t.v16 || !v15 && m.tokenFile(string(mt.path)) == string(mt.path)+"/"+wi.File, t.v15 || v15
			if n.place != string(mt.path) && !slices.Contains(t.mounts, string(mt.path)) {
				also = string(mt.path)
			}
		}
	}
	if also != "" {
		m.warn("the pod has the token in two layouts: at %s, and already at %s", t.mounts[0], also)
	}
}

// freeName is a volume's name that the pod does not use.
func (p *pod) freeName() string {
	used := func(name string) bool {
		for n := range p.all() {
			if slices.ContainsFunc(n.mounts, func(mt mount) bool { return string(mt.name) == name }) {
				return true
			}
		}
		return p.defines(name)
	}
	name := volumeName
	for i := 2; used(name); i++ {
		name = volumeName + "-" + strconv.Itoa(i)
	}
	return name
}

func (m *mutation) patchVolumes() {
	sources := m.sources()
	var added [][]byte
	for _, name := range m.token.missing {
		added = append(added, fmt.Appendf(nil, `{"name":%s,"projected":{"sources":%s}}`, quote(name), sources))
	}
	for i, v := range m.p.volumes {
		path := at("/spec/volumes", i)
		switch {
		case !slices.Contains(m.token.own, string(v.name)):
		case !sameJSON(v.sources, sources):
			m.op("add", path+"/projected/sources", sources)
		}
	}
	m.extend("/spec/volumes", m.p.volumeState, added)
}

// audience is the token's.
func (m *mutation) audience() string {
	if m.values.binding {
		return m.c.TokenProxy.Audience
	}
	return m.c.audience()
}

// sources are what the volume projects, spelt as the API server would default it.
func (m *mutation) sources() []byte {
	audience := m.audience()
	var items [][]byte
	for _, l := range []struct {
		needed bool
		file   string
	}{{m.token.v16, wi.File}, {m.token.v15, wi.FileV15}} {
		if l.needed {
			items = append(items, fmt.Appendf(nil, `{"serviceAccountToken":{"audience":%s,"expirationSeconds":%d,"path":"%s"}}`,
				quote(audience), m.values.expiration, l.file))
		}
	}
	if t := m.c.TokenProxy; m.values.binding {
		switch {
		case t.CAConfigMap != "":
			items = append(items, configMapSource(t.CAConfigMap, "ca.crt", proxyCAFile))
		case t.CASigner != "":
			items = append(items, bundleSource("signerName", t.CASigner, t.CASelector, proxyCAFile))
		}
	}
	if t := m.c.Trust; t != nil {
		items = append(items, t.source())
		if t.JavaConfigMap != "" {
			key := t.JavaConfigMapKey
			if key == "" {
				key = "truststore.p12"
			}
			items = append(items, configMapSource(t.JavaConfigMap, key, javaFile))
		}
	}
	return array(items)
}

func (t *Trust) source() []byte {
	key := t.ConfigMapKey
	if key == "" {
		key = "ca.crt"
	}
	switch {
	case t.ConfigMap != "":
		return configMapSource(t.ConfigMap, key, trustFile)
	case t.Bundle != "":
		return bundleSource("name", t.Bundle, nil, trustFile)
	case t.Signer != "":
		return bundleSource("signerName", t.Signer, t.Selector, trustFile)
	}
	return fmt.Appendf(nil, `{"downwardAPI":{"items":[{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.annotations['%s']"},"path":"%s"}]}}`,
		certificatesNote, trustFile)
}

func configMapSource(name, key, file string) []byte {
	return fmt.Appendf(nil, `{"configMap":{"name":%s,"items":[{"key":%s,"path":"%s"}],"optional":false}}`, quote(name), quote(key), file)
}

func bundleSource(by, name string, selector json.RawMessage, file string) []byte {
	if len(selector) == 0 {
		return fmt.Appendf(nil, `{"clusterTrustBundle":{"%s":%s,"optional":false,"path":"%s"}}`, by, quote(name), file)
	}
	return fmt.Appendf(nil, `{"clusterTrustBundle":{"%s":%s,"labelSelector":%s,"optional":false,"path":"%s"}}`, by, quote(name), selector, file)
}

// sameJSON compares two documents by what they say.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func (t *tokenVolume) mountJSON(path string) []byte {
	return fmt.Appendf(nil, `{"name":%s,"mountPath":"%s","readOnly":true}`, quote(t.name), path)
}

// newMounts are the mounts that a container lacks.
func (m *mutation) newMounts(n *container) [][]byte {
	var items [][]byte
	m.warnOfPlace(n)
	if n.place != "" && !m.token.has(n, n.place) {
		items = append(items, m.token.mountJSON(n.place))
	}
	for _, path := range m.token.mounts[1:] {
		switch {
		case path == n.place, m.token.has(n, path):
		case m.free(n, path):
			items = append(items, m.token.mountJSON(path))
		default:
			m.warn("container %s mounts a volume of its own at or around %s: it stays", clip(n.name), path)
		}
	}
	return items
}
