package access

import (
	"encoding/json"
	"sync"
)

// parsed remembers the claims of tokens that were used lately, so that a vault
// read does not parse the same JSON again. It says nothing of a token's worth:
// the signature and the times are checked on every request all the same. The
// zero value is ready.
type parsed struct {
	mu       sync.RWMutex
	new, old map[string]*Claims // guarded by mu; by payload
}

// maxParsed payloads in each of the two generations: 8 MB at a kilobyte each.
const maxParsed = 4096

// claims parses a payload whose signature has been verified. The answer is shared: read only.
func (p *parsed) claims(payload string) (*Claims, error) {
	p.mu.RLock()
	c, ok := p.new[payload]
	p.mu.RUnlock()
	if ok {
		return c, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok = p.old[payload]
	if !ok {
		c = &Claims{}
		if err := json.Unmarshal([]byte(payload), c); err != nil {
			return nil, err
		}
	}
	if len(p.new) >= maxParsed || p.new == nil {
		p.old, p.new = p.new, make(map[string]*Claims)
	}
	p.new[payload] = c
	return c, nil
}
