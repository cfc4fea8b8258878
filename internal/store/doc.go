// Package store keeps Lanyard's objects in etcd and an indexed copy of them in
// memory. Writes are compare-and-swap; reads come from an immutable View that
// follows etcd by list-then-watch. It is the only importer of the etcd client.
//
// It owns the layout of keys. Under the prefix of its Config, "/o" + key holds
// an object as versioned JSON, "/b" + key the blob that belongs to it, and
// "/format" the version of this layout. Only objects are watched and kept in
// memory. A key begins with "/", so that no object can be mistaken for another part.
//
// It does not know what objects mean, seal or unseal anything, or start etcd
// (package embedded does). Keeping an external etcd compacted, defragmented and
// backed up is its operator's work.
package store
