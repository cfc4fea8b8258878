package vault

import (
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

const (
	// maxWrite holds a value of items.MaxValue bytes with every byte escaped, and its tags.
	maxWrite = 256 << 10
	// maxRestore holds a backup of maxBackupVersions full-sized versions.
	maxRestore = 32 << 20
)

const (
	readTime   = 15 * time.Second
	writeTime  = 30 * time.Second
	backupTime = 60 * time.Second
)

// maxBackups is how many backups, and how many restores, are held in memory at once.
const maxBackups = 8

// routes are the operations by path. SDKs ask for the current version with a
// trailing slash, and ServeMux must not redirect it, so each path has both forms.
// A request that cannot send its verb comes as POST: see tunnel.
func (s *Server) routes() []httpx.Route {
	set := write("secret.set", s.set)
	get := read("secret.get", s.get)
	update := write("secret.update", s.update)
	remove := plain("secret.delete", s.remove)
	purge := plain("secret.purge", s.purge)
	backup := plain("secret.backup", s.backup)
	backup.Timeout, backup.MaxInFlight = backupTime, maxBackups
	restore := write("secret.restore", s.restore)
	restore.MaxBody, restore.Timeout, restore.MaxInFlight = maxRestore, backupTime, maxBackups

	whole := verbs{"PUT": set, "PATCH": update, "DELETE": remove}
	restore.Handle = whole.or(restore.Handle)

	var routes []httpx.Route
	at := func(r httpx.Route, patterns ...string) {
		for _, p := range patterns {
			r.Pattern = p
			routes = append(routes, r)
		}
	}
	at(read("secret.list", s.list), "GET /secrets", "GET /secrets/{$}")
	at(set, "PUT /secrets/{name}", "PUT /secrets/{name}/{$}")
	at(get, "GET /secrets/{name}", "GET /secrets/{name}/{$}", "GET /secrets/{name}/{version}")
	at(read("secret.versions", s.versions), "GET /secrets/{name}/versions", "GET /secrets/{name}/versions/{$}")
	at(update, "PATCH /secrets/{name}", "PATCH /secrets/{name}/{$}", "PATCH /secrets/{name}/{version}")
	at(remove, "DELETE /secrets/{name}", "DELETE /secrets/{name}/{$}")
	at(backup, "POST /secrets/{name}/backup")
	at(restore, "POST /secrets/restore")
	at(tunnel(whole), "POST /secrets/{name}", "POST /secrets/{name}/{$}")
	at(tunnel(verbs{"PATCH": update}), "POST /secrets/{name}/{version}")

	at(read("secret.list_deleted", s.listDeleted), "GET /deletedsecrets", "GET /deletedsecrets/{$}")
	at(read("secret.get_deleted", s.getDeleted), "GET /deletedsecrets/{name}", "GET /deletedsecrets/{name}/{$}")
	at(purge, "DELETE /deletedsecrets/{name}", "DELETE /deletedsecrets/{name}/{$}")
	at(plain("secret.recover", s.recover), "POST /deletedsecrets/{name}/recover")
	at(tunnel(verbs{"DELETE": purge}), "POST /deletedsecrets/{name}", "POST /deletedsecrets/{name}/{$}")

	at(read("contacts.get", s.contacts), "GET /certificates/contacts", "GET /certificates/contacts/{$}")
	for _, kind := range []string{"keys", "deletedkeys", "certificates", "deletedcertificates", "storage", "deletedstorage"} {
		at(read("unsupported", s.unsupported), "/"+kind, "/"+kind+"/")
	}
	return routes
}

func read(op string, h handler) httpx.Route {
	return httpx.Route{Op: op, Auth: true, MaxBody: httpx.NoBody, Timeout: readTime, Handle: h}
}

func write(op string, h handler) httpx.Route {
	return httpx.Route{Op: op, Auth: true, MaxBody: maxWrite, Timeout: writeTime, Handle: h}
}

// plain is a change that takes no body.
func plain(op string, h handler) httpx.Route {
	return httpx.Route{Op: op, Auth: true, MaxBody: httpx.NoBody, Timeout: writeTime, Handle: h}
}

type handler = func(w http.ResponseWriter, r *http.Request) error

// verbs are the operations of one path by HTTP method.
type verbs map[string]httpx.Route

// tunnel serves POST with the intended verb in a header, for clients that can
// send no other. https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
func tunnel(v verbs) httpx.Route {
	return write("secret.tunnel", v.or(func(http.ResponseWriter, *http.Request) error {
		return fail(methodNotAllowed, "The request method is not allowed on this path. Name another one in the X-HTTP-Method header.")
	}))
}

// or runs the operation that the header names; without a header, h.
func (v verbs) or(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		verb := r.Header.Get("X-HTTP-Method")
		if verb == "" {
			verb = r.Header.Get("X-HTTP-REQUEST")
		}
		if verb == "" {
			return h(w, r)
		}
		route, ok := v[strings.ToUpper(verb)]
		if !ok {
			return fail(methodNotAllowed, "The method in the X-HTTP-Method header is not allowed on this path.")
		}
		if r.PathValue("name") == "" {
			r.SetPathValue("name", path.Base(r.URL.Path)) // a secret may be named "restore"
		}
		httpx.SetOp(r, route.Op)
		return route.Handle(w, r)
	}
}

// contacts says that nobody is told about a certificate: Terraform asks of every
// vault, and takes no other refusal for "none".
func (s *Server) contacts(http.ResponseWriter, *http.Request) error {
	return fail(contactsNotFound, "Contacts not found: this vault holds secrets only.")
}

func (s *Server) unsupported(http.ResponseWriter, *http.Request) error {
	return fail(notSupported, "This vault holds secrets only: keys, certificates and storage accounts are not supported by this server.")
}
