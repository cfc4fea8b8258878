package admission

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Names of the injected containers, upstream's.
const (
	proxyName    = "azwi-proxy"
	redirectName = "azwi-proxy-init"
)

// sidecarContainer is a container that we inject.
type sidecarContainer struct {
	Name            string            `json:"name"`
	Image           string            `json:"image"`
	ImagePullPolicy string            `json:"imagePullPolicy"`
	Args            []string          `json:"args"`
	RestartPolicy   string            `json:"restartPolicy,omitempty"`
	Ports           []json.RawMessage `json:"ports,omitempty"`
	Env             []json.RawMessage `json:"env,omitempty"`
	Resources       json.RawMessage   `json:"resources"`
	VolumeMounts    []json.RawMessage `json:"volumeMounts,omitempty"`
	StartupProbe    json.RawMessage   `json:"startupProbe,omitempty"`
	Lifecycle       json.RawMessage   `json:"lifecycle,omitempty"`
	SecurityContext securityContext   `json:"securityContext"`
}

type securityContext struct {
	AllowPrivilegeEscalation bool              `json:"allowPrivilegeEscalation"`
	Capabilities             capabilities      `json:"capabilities"`
	Privileged               bool              `json:"privileged"`
	ReadOnlyRootFilesystem   bool              `json:"readOnlyRootFilesystem"`
	RunAsNonRoot             bool              `json:"runAsNonRoot"`
	RunAsUser                int64             `json:"runAsUser"`
	RunAsGroup               int64             `json:"runAsGroup"`
	SeccompProfile           map[string]string `json:"seccompProfile"`
}

type capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop"`
}

const (
	program               = "lanyard" // on the image's PATH; probes do not use its entry point
	defaultProxyUser      = 65532
	defaultProxyResources = `{"limits":{"cpu":"100m","memory":"64Mi"},"requests":{"cpu":"10m","memory":"20Mi"}}`
)

// patchSidecar puts the proxy before all other containers. It comes after the
// other containers' patches, because it moves them.
func (m *mutation) patchSidecar() {
	if !m.values.proxy {
		return
	}
	if !m.p.has(proxyName) {
		if m.c.Sidecar.Native {
			m.prepend(&m.p.inits, m.proxy())
		} else {
			m.prepend(&m.p.containers, m.proxy())
		}
	}
	// The redirect is first of all, so that no init container of the workload
	// reaches the node's own identity.
	if m.c.Sidecar.Mode != SidecarEnv && !m.p.has(redirectName) {
		m.prepend(&m.p.inits, m.redirect())
	}
}

// prepend inserts a container at the front of a list.
func (m *mutation) prepend(l *list, c sidecarContainer) {
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("marshalling a container: %v", err)) // Validate has seen the raw parts
	}
	m.patch.Touched++
	if l.state == absent {
		m.op("add", l.path, array([][]byte{b}))
		l.state = present
		return
	}
	m.op("add", l.path+"/0", b)
}

func (p *pod) has(name string) bool {
	for _, l := range []*list{&p.inits, &p.containers} {
		for _, n := range l.items {
			if string(n.name) == name {
				return true
			}
		}
	}
	return false
}

func (m *mutation) proxy() sidecarContainer {
	s, port := &m.c.Sidecar, strconv.Itoa(m.values.port)
	c := m.sidecar(proxyName, "proxy", "--port", port)
	c.Ports = []json.RawMessage{fmt.Appendf(nil, `{"containerPort":%s,"protocol":"TCP"}`, port)}
	user := s.RunAsUser
	if user == 0 {
		user = defaultProxyUser
	}
	c.SecurityContext.RunAsNonRoot = true
	c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup = user, user
	if !m.skips([]byte(proxyName)) {
		for _, v := range m.vars {
			if !v.notProxy {
				c.Env = append(c.Env, v.json)
			}
		}
		for _, path := range m.token.mounts {
			c.VolumeMounts = append(c.VolumeMounts, m.token.mountJSON(path))
		}
	}
	if s.Native {
		c.RestartPolicy = "Always"
	}
	command := fmt.Sprintf(`{"exec":{"command":["%s","proxy","--probe","--port","%s"]}`, program, port)
	if s.Native {
		c.StartupProbe = []byte(command + `,"periodSeconds":1,"timeoutSeconds":12,"failureThreshold":30}`)
	} else {
		c.Lifecycle = []byte(`{"postStart":` + command + `}}`)
	}
	return c
}

// redirect needs a capability but no privileged mode, and no identity.
func (m *mutation) redirect() sidecarContainer {
	// No user is exempt: the proxy asks nothing of the real service, and its user
	// id is one that workloads have, too.
	c := m.sidecar(redirectName, "proxy", "redirect", "--port", strconv.Itoa(m.values.port), "--uid=-1")
	c.SecurityContext.Capabilities.Add = []string{"NET_ADMIN"}
	return c
}

func (m *mutation) sidecar(name string, args ...string) sidecarContainer {
	s := &m.c.Sidecar
	c := sidecarContainer{
		Name: name, Image: s.Image, ImagePullPolicy: s.PullPolicy, Args: args, Resources: s.Resources,
		SecurityContext: securityContext{
			Capabilities:           capabilities{Drop: []string{"ALL"}},
			ReadOnlyRootFilesystem: true,
			SeccompProfile:         map[string]string{"type": "RuntimeDefault"},
		},
	}
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = "IfNotPresent"
	}
	if len(c.Resources) == 0 {
		c.Resources = json.RawMessage(defaultProxyResources)
	}
	return c
}
