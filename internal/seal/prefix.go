package seal

import "encoding/binary"

// What a data key sealed begins with the byte 1 and the key's id.
// https://developers.google.com/tink/wire-format
const (
	prefixStart  = 1
	prefixLength = 5
)

func prefix(id uint32) string {
	return string(binary.BigEndian.AppendUint32([]byte{prefixStart}, id))
}

func hasPrefix(sealed []byte, prefix string) bool {
	return len(sealed) >= prefixLength && string(sealed[:prefixLength]) == prefix
}

// sealedBy is the id of the data key that sealed a value; ok is false when it
// is no sealed value at all.
func sealedBy(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < prefixLength || sealed[0] != prefixStart {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:prefixLength]), true
}
