// Package embedded runs an etcd of one member inside the process, for stores
// that are not on an external etcd. It is the only importer of the etcd server.
//
// It owns the data directory: its lock, the member's files, the socket through
// which a command on the same machine can take a snapshot, and a restore. It
// keeps the database small and ends the quota alarm when there is room again.
// It knows nothing of the objects; package store does, and compacts.
package embedded
