package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// The volume and its paths. Upstream v1.6 names its volume by a hash of the
// pod's name, v1.5 by a constant; both are recognised by where they are mounted.
const (
	volumePrefix  = "azure-workload-identity-reserved-"
	volumeName    = volumePrefix + "token"
	volumeNameV15 = "azure-identity-token"

	mountV16 = "/var/run/secrets/azure/wi"
	mountV15 = "/var/run/secrets/azure/tokens"
	fileV16  = "token/azure-identity-token"
	fileV15  = "azure-identity-token"

	proxyCAFile = "ca-cert/ca.crt"
	trustFile   = "trust/ca.crt"
	javaFile    = "trust/truststore.p12"
)

// tokenVolume is the plan for the pod's projected volumes: usually one, more
// when the pod was mutated by others before.
type tokenVolume struct {
	name    string   // of the volume that new mounts use
	own     []string // names that are ours to define
	missing []string // of own: mounted, but without a volume
	mounts  []string // where each container gets it; the first one is what the variables name
	also    string   // the other layout's path, if a container has the volume there
}

func (m *mutation) planToken() tokenVolume {
	t := tokenVolume{mounts: []string{mountV16}}
	switch m.c.Layout {
	case LayoutV15:
		t.mounts = []string{mountV15}
	case LayoutBoth:
		t.mounts = []string{mountV16, mountV15}
	}
	for _, v := range m.p.volumes {
		reserved := bytes.HasPrefix(v.name, []byte(volumePrefix)) || string(v.name) == volumeNameV15
		if reserved && v.projected != nil || string(v.name) == volumeName {
			t.own = append(t.own, string(v.name))
		}
	}
	for _, l := range []*list{&m.p.inits, &m.p.containers} {
		for i := range l.items {
			t.recognise(&l.items[i])
		}
	}
	switch {
	case t.name != "":
	case len(t.own) > 0:
		t.name = t.own[0]
	default:
		t.name, t.own, t.missing = volumeName, []string{volumeName}, []string{volumeName}
	}
	if t.also != "" {
		m.warn("the pod has the token in two layouts: at %s, and already at %s", t.mounts[0], t.also)
	}
	return t
}

// recognise notes a container's mounts at the token's paths.
func (t *tokenVolume) recognise(n *container) {
	for _, mt := range n.mounts {
		path := string(bytes.TrimRight(mt.path, "/"))
		if path != mountV16 && path != mountV15 {
			continue
		}
		if !slices.Contains(t.own, string(mt.name)) {
			if !bytes.HasPrefix(mt.name, []byte(volumePrefix)) {
				continue
			}
			t.own = append(t.own, string(mt.name))
			t.missing = append(t.missing, string(mt.name))
		}
		if t.name == "" {
			t.name = string(mt.name)
		}
		if !slices.Contains(t.mounts, path) {
			t.also = path
		}
	}
}

// mounted is the container's mount at a path, nil if there is none.
func (n *container) mounted(path string) *mount {
	for i := range n.mounts {
		if string(bytes.TrimRight(n.mounts[i].path, "/")) == path {
			return &n.mounts[i]
		}
	}
	return nil
}

// foreign tells that the container has a volume of its own where the variables point.
func (t *tokenVolume) foreign(n *container) bool {
	mt := n.mounted(t.mounts[0])
	return mt != nil && !slices.Contains(t.own, string(mt.name))
}

// reads tells whether the volume must hold the file of a mount's layout.
func (t *tokenVolume) reads(path string) bool {
	return slices.Contains(t.mounts, path) || t.also == path
}

func (m *mutation) tokenFile() string {
	if m.token.mounts[0] == mountV15 {
		return mountV15 + "/" + fileV15
	}
	return mountV16 + "/" + fileV16
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
		case v.projected == nil:
			m.op("replace", path, fmt.Appendf(nil, `{"name":%s,"projected":{"sources":%s}}`, quote(v.name), sources))
		case !sameJSON(v.sources, sources):
			m.op("add", path+"/projected/sources", sources)
		}
	}
	m.extend("/spec/volumes", m.p.volumeState, added)
}

// sources are what the volume projects, spelt as the API server would default it.
func (m *mutation) sources() []byte {
	audience := m.c.audience()
	if m.values.binding {
		audience = m.c.TokenProxy.Audience
	}
	var items [][]byte
	for _, l := range []struct{ mount, file string }{{mountV16, fileV16}, {mountV15, fileV15}} {
		if m.token.reads(l.mount) {
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
	for _, path := range m.token.mounts {
		mt := n.mounted(path)
		switch {
		case mt == nil:
			items = append(items, m.token.mountJSON(path))
		case !slices.Contains(m.token.own, string(mt.name)):
			m.warn("container %s mounts a volume of its own at %s: it stays", clip(n.name), path)
		}
	}
	return items
}
