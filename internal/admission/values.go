package admission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// values are what the annotations of the pod and its service account ask for.
type values struct {
	clientID   string
	tenantID   string
	expiration int64
	binding    bool // by the custom token endpoint
	skip       []string
	proxy      bool
	port       int
}

const (
	minExpiration = 3600
	maxExpiration = 86400
	defaultPort   = 8000
)

func (m *mutation) readValues() error {
	v := &m.values
	v.skip = skipped(m.p.noted[wi.SkipAnnotation])
	if t := m.c.TokenProxy; t != nil {
		v.binding = strings.EqualFold(m.p.noted[wi.UsePrefix+t.Suffix], "true")
	}
	for _, read := range []func() error{m.readAccount, m.readIdentity, m.readExpiration, m.readProxy} {
		if err := read(); err != nil {
			return err
		}
	}
	m.warnOfSkips()
	return nil
}

func (m *mutation) readAccount() error {
	if m.account.Name == "default" {
		m.warn("the pod runs as the default service account, which all pods of the namespace share: give it its own")
	}
	return nil
}

func (m *mutation) readIdentity() error {
	v := &m.values
	v.clientID = m.account.Annotations[wi.ClientIDAnnotation]
	v.tenantID = m.account.Annotations[wi.TenantIDAnnotation]
	switch {
	case v.clientID != "":
		if !isGUID(v.clientID) {
			if err := m.doubt("annotation %s of service account %s is %q, not a GUID", wi.ClientIDAnnotation, m.account.Name, clip(v.clientID)); err != nil {
				return err
			}
		}
	default:
		m.warnOfNoClient()
	}
	if v.tenantID == "" {
		v.tenantID = m.c.TenantID
	}
	if v.tenantID != "" && !tenantLike(v.tenantID) {
		return m.doubt("annotation %s of service account %s is %q, not a GUID", wi.TenantIDAnnotation, m.account.Name, clip(v.tenantID))
	}
	return nil
}

// warnOfNoClient speaks of the containers that bring no client id of their own.
func (m *mutation) warnOfNoClient() {
	var lack []string
	bring := false
	for n := range m.p.all() {
		switch name := string(n.name); {
		case m.skips(n.name), name == proxyName, name == redirectName:
		case m.brings(n, wi.ClientIDEnv):
			bring = true
		default:
			lack = append(lack, clip(name))
		}
	}
	whose := ""
	switch {
	case len(lack) == 0 && bring:
		return
	case bring && len(lack) == 1:
		whose = fmt.Sprintf(", and container %s has no %s of its own", lack[0], wi.ClientIDEnv)
	case bring:
		whose = fmt.Sprintf(", and container %s and %d more have no %s of their own", lack[0], len(lack)-1, wi.ClientIDEnv)
	}
	if m.p.noted[wi.ClientIDAnnotation] != "" {
		m.warn("annotation %s belongs on service account %s, not on the pod", wi.ClientIDAnnotation, m.account.Name)
		return
	}
	m.warn("service account %s has no annotation %s%s", m.account.Name, wi.ClientIDAnnotation, whose)
}

// brings tells whether the container sets a variable itself. What an envFrom
// brings cannot be seen here: it is believed, unless its prefix makes other names.
func (m *mutation) brings(n *container, name string) bool {
	for _, e := range slices.Backward(n.env) { // the last one counts
		if string(e.name) == name && !m.old.wrote(n, e) {
			return e.from || len(e.value) > 0
		}
	}
	return slices.ContainsFunc(n.from, func(prefix []byte) bool { return strings.HasPrefix(name, string(prefix)) })
}

// doubt warns of a value; a strict configuration refuses it.
func (m *mutation) doubt(format string, args ...any) error {
	if m.c.Strict {
		return apierr.New(apierr.Invalid, format, args...)
	}
	m.warn(format, args...)
	return nil
}

func (m *mutation) readExpiration() error {
	text, where := m.p.noted[wi.ExpirationAnnotation], "the pod"
	if text == "" {
		text, where = m.account.Annotations[wi.ExpirationAnnotation], "service account "+m.account.Name
	}
	if text == "" {
		m.values.expiration = minExpiration
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < minExpiration || n > maxExpiration {
		return apierr.New(apierr.Invalid, `annotation %s of %s is %q: write whole seconds from %d to %d, for example "%d"`,
			wi.ExpirationAnnotation, where, clip(text), minExpiration, maxExpiration, minExpiration)
	}
	m.values.expiration = n
	return nil
}

func (m *mutation) readProxy() error {
	text, asked := m.p.noted[wi.ProxyAnnotation]
	if !asked || strings.EqualFold(text, "false") {
		return nil
	}
	if !strings.EqualFold(text, "true") {
		if err := m.doubt(`annotation %s is %q: write "true" or "false"; it counts as "true"`, wi.ProxyAnnotation, clip(text)); err != nil {
			return err
		}
	}
	switch {
	case m.p.hostNetwork:
		return apierr.New(apierr.Invalid, "hostNetwork is set to true, cannot inject proxy sidecar")
	case m.p.windows:
		return apierr.New(apierr.Invalid, "the proxy sidecar runs on Linux only: remove annotation %s from this Windows pod", wi.ProxyAnnotation)
	case m.c.Sidecar.Image == "":
		return apierr.New(apierr.Invalid, "this cluster's webhook has no image for the proxy sidecar: remove annotation %s, or have one configured", wi.ProxyAnnotation)
	}
	m.values.proxy, m.values.port = true, defaultPort
	if text := m.p.noted[wi.ProxyPortAnnotation]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			return apierr.New(apierr.Invalid, `annotation %s is %q: write a port from 1 to 65535, for example "%d"`, wi.ProxyPortAnnotation, clip(text), defaultPort)
		}
		m.values.port = n
	}
	return nil
}

func skipped(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ";") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// skips tells whether the container is to be left alone.
func (m *mutation) skips(name []byte) bool {
	_, found := slices.BinarySearchFunc(m.values.skip, name, func(s string, b []byte) int { return strings.Compare(s, string(b)) })
	return found
}

func (m *mutation) warnOfSkips() {
	if len(m.values.skip) == 0 {
		return
	}
	known := map[string]bool{proxyName: true, redirectName: true}
	for _, l := range []*list{&m.p.inits, &m.p.containers} {
		for _, n := range l.items {
			known[string(n.name)] = true
		}
	}
	for _, name := range m.values.skip {
		if !known[name] {
			m.warn("annotation %s names %q, which is no container of the pod", wi.SkipAnnotation, clip(name))
		}
	}
}
