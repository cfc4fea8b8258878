// Package strictjson refuses JSON that two readers could take for different things. It
// decodes nothing: encoding/json does that afterwards.
package strictjson
