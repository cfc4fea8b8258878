// Package trust verifies tokens of other people's issuers: a cluster's, GitHub's,
// any OpenID provider's. It owns the parsing of foreign tokens and key sets, the
// algorithms that are accepted, and the fetching and ageing of foreign keys
// within strict limits: size, time, count, frequency and address.
//
// It does not decide which issuer may speak for whom: it fetches for whatever
// [Source] it is given, so a caller looks the issuer up in what operators stored
// before it calls. It knows no federated credentials and no Azure codes.
//
// A key that its issuer withdraws is refused after at most Config.MaxAge, and
// after at most Config.MaxStale while the issuer does not answer.
package trust
