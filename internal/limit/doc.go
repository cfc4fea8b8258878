// Package limit holds back what strangers may have done for them: token buckets
// by source address, in a table whose size does not depend on who comes.
//
// It owns what a source is (an IPv4 address, or a /64 of IPv6 within its /48) and
// the arithmetic. It does not know what is limited, and words no answers.
package limit
