package admission

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// variable is one that containers get.
type variable struct {
	name, value string
	json        []byte // as an element of env
	file        bool   // names a file of our volume
	rival       string // a variable that SDKs refuse beside this one
	notProxy    bool   // is not for the proxy sidecar
}

func (v *variable) element(value string) []byte {
	return fmt.Appendf(nil, `{"name":%s,"value":%s}`, quote(v.name), quote(value))
}

// variables are those that are due, in upstream's order; ones without a value are not.
func (m *mutation) variables() []variable {
	var vars []variable
	add := func(v variable) {
		if v.value != "" {
			v.json = v.element(v.value)
			vars = append(vars, v)
		}
	}
	add(variable{name: wi.ClientIDEnv, value: m.values.clientID})
	add(variable{name: wi.TenantIDEnv, value: m.values.tenantID})
	add(variable{name: wi.TokenFileEnv, value: m.tokenFile(m.token.mounts[0]), file: true})
	add(variable{name: wi.AuthorityEnv, value: m.c.authority()})
	if t := m.c.TokenProxy; m.values.binding {
		add(variable{name: wi.TokenProxyEnv, value: t.URL})
		add(variable{name: wi.ProxySNIEnv, value: t.SNI})
		if t.CAConfigMap != "" || t.CASigner != "" {
			add(variable{name: wi.ProxyFileEnv, value: m.token.mounts[0] + "/" + proxyCAFile, file: true, rival: wi.ProxyCAEnv})
		}
		add(variable{name: wi.ProxyCAEnv, value: t.CAData, rival: wi.ProxyFileEnv})
	}
	if t := m.c.Trust; t != nil {
		for _, name := range t.env() {
			add(variable{name: name, value: m.token.mounts[0] + "/" + trustFile, file: true})
		}
		if t.JavaConfigMap != "" {
			add(variable{name: javaOptions, value: javaTrust(m.token.mounts[0]), file: true})
		}
	}
	if m.values.proxy && m.c.Sidecar.Mode == SidecarEnv {
		// SDKs for Python, JavaScript and Java heed the first, all heed the other two.
		host := "http://127.0.0.1:" + strconv.Itoa(m.values.port)
		add(variable{name: wi.PodIdentityEnv, value: host, notProxy: true})
		add(variable{name: wi.IdentityEndpointEnv, value: host + "/msi/token", notProxy: true})
		add(variable{name: wi.IdentityHeaderEnv, value: identityHeader})
	}
	return vars
}

// identityHeader is what callers of App Service's shape must send. It keeps out
// requests that someone else makes a program send; the pod's own may know it.
const identityHeader = "azwi-proxy"

// javaOptions is read by the java launcher alone. JAVA_TOOL_OPTIONS, which every
// Java machine reads, is set by many images, and a pod's value would replace it.
const javaOptions = "JDK_JAVA_OPTIONS"

func javaTrust(mount string) string { return "-Djavax.net.ssl.trustStore=" + mount + "/" + javaFile }

// patchContainer gives a container of the pod what it lacks.
func (m *mutation) patchContainer(l *list, i int) {
	n := &l.items[i]
	if m.skips(n.name) || string(n.name) == redirectName {
		for j := range m.vars {
			m.has(n, &m.vars[j])
		}
		return
	}
	before, path := len(m.patch.Ops), at(l.path, i)
	m.refresh(n, path+"/env")
	env := make([][]byte, 0, len(m.vars))
	for j := range m.vars {
		v := &m.vars[j]
		found, conflict := m.has(n, v)
		if conflict {
			m.conflict(v.name, n.name)
		}
		if found || !m.due(n, v) {
			continue
		}
		_, element := m.valueAt(n, v)
		env = append(env, element)
	}
	m.extend(path+"/env", n.envState, env)
	m.extend(path+"/volumeMounts", n.mountState, m.newMounts(n))
	if len(m.patch.Ops) > before {
		m.patch.Touched++
	}
}

// due tells whether the container gets the variable unless it has it.
func (m *mutation) due(n *container, v *variable) bool {
	switch {
	case v.notProxy && string(n.name) == proxyName:
		return false
	case v.file && n.place == "":
		return false
	case v.rival != "":
		return !slices.ContainsFunc(n.env, func(e envVar) bool { return string(e.name) == v.rival && !m.old.wrote(n, e) })
	}
	return true
}

// has tells whether the container has the variable already, and whether with a
// value of its own that is not ours. One that merely looks like ours is noted.
func (m *mutation) has(n *container, v *variable) (found, conflict bool) {
	var value string
	for _, e := range n.env {
		if string(e.name) != v.name {
			continue
		}
		if !found {
			value, _ = m.valueAt(n, v)
		}
		found = true
		switch {
		case m.old.wrote(n, e):
		case !e.from && string(e.value) == value:
			m.kept[string(n.name)] = append(m.kept[string(n.name)], v.name)
		default:
			conflict = true
		}
	}
	return found, conflict
}

// refresh mends the variables that an earlier mutation wrote: new values for
// those that are due, and away with the others.
func (m *mutation) refresh(n *container, path string) {
	var gone []int
	for i, e := range n.env {
		if !m.old.wrote(n, e) {
			continue
		}
		j := slices.IndexFunc(m.vars, func(v variable) bool { return v.name == string(e.name) })
		switch {
		case j < 0 || !m.due(n, &m.vars[j]):
			gone = append(gone, i)
		default:
			if value, _ := m.valueAt(n, &m.vars[j]); value != string(e.value) {
				m.op("replace", at(path, i)+"/value", quote(value))
			}
		}
	}
	for _, i := range slices.Backward(gone) { // from the end: the rest keep their places
		m.op("remove", at(path, i), nil)
	}
}

type variableConflict struct {
	name, container string
	more            int
}

func (m *mutation) conflict(name string, container []byte) {
	for i := range m.own {
		if m.own[i].name == name {
			m.own[i].more++
			return
		}
	}
	m.own = append(m.own, variableConflict{name: name, container: string(container)})
}

func (m *mutation) warnOfOwnVariables() {
	for _, o := range m.own {
		if o.more == 0 {
			m.warn("container %s sets %s itself: its value stays", clip(o.container), o.name)
		} else {
			m.warn("container %s and %d more set %s themselves: their values stay", clip(o.container), o.more, o.name)
		}
	}
}

// injected is what the pod's annotation remembers of earlier mutations.
type injected struct {
	Version int                 `json:"v"`
	Env     map[string]string   `json:"env"`            // what containers were given
	Kept    map[string][]string `json:"kept,omitempty"` // but these had the same values of their own

	Audience string `json:"audience,omitempty"` // of the token, unless it is the usual one
}

// injects tells whether a variable is one that some configuration injects. The
// annotation is the pod author's to write: without this it could take away what
// others put into the pod.
func injects(name, value string) bool {
	switch name {
	case wi.ClientIDEnv, wi.TenantIDEnv, wi.TokenFileEnv, wi.AuthorityEnv,
		wi.TokenProxyEnv, wi.ProxySNIEnv, wi.ProxyFileEnv, wi.ProxyCAEnv,
		wi.PodIdentityEnv, wi.IdentityEndpointEnv, wi.IdentityHeaderEnv:
		return true
	case javaOptions:
		return value == javaTrust(wi.Mount) || value == javaTrust(wi.MountV15)
	}
	return value == wi.Mount+"/"+trustFile || value == wi.MountV15+"/"+trustFile
}

// readInjected forgets what it does not understand: then all is the workload's.
func readInjected(text string) injected {
	var in injected
	if text == "" || json.Unmarshal([]byte(text), &in) != nil || in.Version != 1 {
		return injected{}
	}
	maps.DeleteFunc(in.Env, func(name, value string) bool { return !injects(name, value) })
	return in
}

// wrote tells whether a variable is as an earlier mutation left it.
func (in *injected) wrote(n *container, e envVar) bool {
	if len(in.Env) == 0 || e.from || len(e.value) == 0 {
		return false
	}
	earlier, injected := in.Env[string(e.name)]
	if !injected || earlier != string(e.value) && !movedTo(n.place, string(e.name), []byte(earlier), e.value) {
		return false
	}
	return !slices.Contains(in.Kept[string(n.name)], string(e.name))
}
