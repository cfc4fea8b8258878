// Package httpx is the one edge: routes as data, limits on every route, request
// ids, recovery, one log event and one metric observation per request. Handlers
// return errors; only the edge writes them, in the surface's own words.
//
// It owns host and path routing, deadlines, body limits, and the reading and
// writing of JSON and form bodies. It does not know any operation, any vendor's
// error codes, how tokens are verified, or where certificates come from. It
// never redirects: a path either is a route's or it is refused.
package httpx
