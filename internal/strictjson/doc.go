// Package strictjson reads JSON that means one thing to every reader, and refuses the
// rest: encoding/json takes the last of two equal members, in whatever letter case,
// and replaces broken Unicode.
package strictjson
