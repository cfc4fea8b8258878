// Package surfacetest puts together what a surface stands on, for its tests: a real
// store, sealer, record, gate and edge, and a client over TLS. Only who calls may be
// played. What a surface's tests have of their own stays with them.
package surfacetest
