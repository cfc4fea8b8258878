// Package publish keeps an issuer's two public documents, discovery and key set,
// in a folder or a bucket, so that a cluster's tokens can be checked by those who
// cannot ask its API server. It owns what the documents say, the order in which
// they are written and how long a key outlives its source. It does not read
// clusters, and signs nothing.
package publish
