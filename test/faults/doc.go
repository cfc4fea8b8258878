// Command faults breaks real Lanyard servers, the built program, on real etcd
// processes on purpose: it kills, freezes, cuts off, fills up and slows down, under
// a load whose every acknowledged answer it writes down. Afterwards it checks that
// nothing acknowledged is lost, nothing deleted is back, each key's history is
// linearizable, and every answer has its audit record. It prints one table.
//
// Beside the servers a plain etcd client does the same kind of work on the same
// members, in the same run: what it gets is the bound. Use ./run, or make faults.
package main
