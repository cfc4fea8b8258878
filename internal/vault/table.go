package vault

import (
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

// operation is a row of the table: what is done with requests of this shape.
type operation struct {
	op         string // in logs and metrics
	kind       *kind
	action     string // that roles must allow; the record's name of it
	permission string // that access policies must grant
	class      class
	method     string
	paths      string            // separated by spaces; one that ends with a slash is served without it too
	read       func(*call) error // checks the request by itself, before the gate; may be nil
	do         func(*call) (answer, error)
}

// class is what operations of one sort may take.
type class struct {
	body     int64 // bytes; httpx.NoBody for none
	time     time.Duration
	inFlight int  // 0: the edge's default
	reads    bool // it changes nothing
	// bodyNames: only the body says which item it is about. It is read behind the
	// gate, which is then asked again.
	bodyNames bool
}

const (
	// maxWrite holds a value of items.MaxValue bytes with every byte escaped, and its tags.
	maxWrite = 256 << 10
	// maxRestore holds a backup of maxBackupVersions full-sized versions.
	maxRestore = 32 << 20
	// maxBackups is how many backups, and how many restores, are held in memory at once.
	maxBackups = 8

	readTime   = 15 * time.Second
	writeTime  = 30 * time.Second
	backupTime = 60 * time.Second
)

// rows is every operation that there is. To change attributes needs the permission
// set, to list deleted items list.
// https://learn.microsoft.com/azure/key-vault/general/rbac-access-policy
func rows() []operation {
	var (
		read    = class{body: httpx.NoBody, time: readTime, reads: true}
		write   = class{body: maxWrite, time: writeTime}
		change  = class{body: httpx.NoBody, time: writeTime}
		backup  = class{body: httpx.NoBody, time: backupTime, inFlight: maxBackups, reads: true}
		restore = class{body: maxRestore, time: backupTime, inFlight: maxBackups, bodyNames: true}
	)
	return []operation{
		{"secret.set", secrets, access.ActionSetSecret, "set", write, "PUT", "/secrets/{name}/", (*call).readNewSecret, (*call).setSecret},
		{"secret.get", secrets, access.ActionGetSecret, "get", read, "GET", "/secrets/{name}/ /secrets/{name}/{version}", nil, (*call).getSecret},
		{"secret.update", secrets, access.ActionSetSecret, "set", write, "PATCH", "/secrets/{name}/ /secrets/{name}/{version}", (*call).readSecretUpdate, (*call).updateSecret},
		{"secret.list", secrets, access.ActionReadMetadata, "list", read, "GET", "/secrets/", (*call).readPage, (*call).list},
		{"secret.versions", secrets, access.ActionReadMetadata, "list", read, "GET", "/secrets/{name}/versions/", (*call).readVersionsPage, (*call).versions},
		{"secret.delete", secrets, access.ActionDeleteSecret, "delete", change, "DELETE", "/secrets/{name}/", nil, (*call).remove},
		{"secret.backup", secrets, access.ActionBackupSecret, "backup", backup, "POST", "/secrets/{name}/backup", nil, (*call).backup},
		{"secret.restore", secrets, access.ActionRestoreSecret, "restore", restore, "POST", "/secrets/restore", (*call).readBackup, (*call).restore},
		{"secret.list_deleted", secrets, access.ActionReadMetadata, "list", read, "GET", "/deletedsecrets/", (*call).readDeletedPage, (*call).listDeleted},
		{"secret.get_deleted", secrets, access.ActionReadMetadata, "get", read, "GET", "/deletedsecrets/{name}/", nil, (*call).getDeleted},
		{"secret.recover", secrets, access.ActionRecoverSecret, "recover", change, "POST", "/deletedsecrets/{name}/recover", nil, (*call).recover},
		{"secret.purge", secrets, access.ActionPurgeSecret, "purge", change, "DELETE", "/deletedsecrets/{name}/", nil, (*call).purge},
	}
}

// tunnel names the requests for a kind that bring their verb in a header.
type tunnel struct {
	op   string
	kind *kind
}

func tunnels() []tunnel {
	return []tunnel{{"secret.tunnel", secrets}}
}

// fixedAnswer is the same for every caller and vault, and says nothing of either.
type fixedAnswer struct {
	op       string
	answer   handler
	patterns []string
}

func fixedAnswers() []fixedAnswer {
	return []fixedAnswer{
		{"contacts.get", contacts, []string{"GET /certificates/contacts", "GET /certificates/contacts/{$}"}},
		{"unsupported", unsupported, []string{
			"/keys", "/keys/", "/deletedkeys", "/deletedkeys/", "/certificates", "/certificates/",
			"/deletedcertificates", "/deletedcertificates/", "/storage", "/storage/", "/deletedstorage", "/deletedstorage/",
		}},
	}
}
