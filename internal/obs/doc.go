// Package obs is how the server is watched: its log, its metrics registry, the
// debug listener's handler, what it was built from, and the ids that a request
// carries. It opens no listener, and the metrics themselves belong to the
// packages that count.
package obs
