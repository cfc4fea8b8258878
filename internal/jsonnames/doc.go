// Package jsonnames tells the names of a JSON object's members apart as
// encoding/json does when it fills a struct: letter case makes no difference, nor
// do U+017F, which is an s to it, and U+212A, which is a k. Two members that it
// would take for one are one here, so that a document which is read twice, by
// whichever reader, means the same. It reads no JSON itself.
package jsonnames
