package publish

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Names of the documents below the issuer. The third is this package's memory:
// when each key was last there; it holds nothing that the key set does not.
const (
	Discovery = ".well-known/openid-configuration"
	KeySet    = "openid/v1/jwks"
	memory    = "openid/v1/lanyard.json"
)

// DefaultOverlap is how long a key outlives its source: the longest life of a
// token that it signed, which is a day, and an hour for clocks and caches.
const DefaultOverlap = 25 * time.Hour

// Config for New.
type Config struct {
	Place Place
	// Issuer is iss of the tokens, to the letter.
	Issuer string
	// Overlap is how long a key is still published after it was first missed at
	// its source. Default DefaultOverlap; 0 < Overlap.
	Overlap time.Duration
	// Withdraw lists ids of keys to take away at once and never to publish again,
	// even while the source still has them.
	Withdraw []string
	// Now defaults to time.Now.
	Now func() time.Time
	// Log receives what Follow does. Default: slog.Default().
	Log *slog.Logger
}

// Publisher writes one issuer's documents to one place.
type Publisher struct{ c Config }

// New checks the configuration. It reads nothing yet.
func New(c Config) (*Publisher, error) {
	if c.Overlap < 0 {
		return nil, fmt.Errorf("overlap %v: want a time", c.Overlap)
	}
	if _, err := keysURL(c.Issuer); err != nil {
		return nil, err
	}
	c.Overlap = cmp.Or(c.Overlap, DefaultOverlap)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Publisher{c}, nil
}

// State of a key in a Plan.
type State string

// States of a key.
const (
	Current   State = "current"   // at the source, and published before
	Added     State = "added"     // at the source, and not yet published
	Overlap   State = "overlap"   // gone at the source; published until its tokens have ended
	Expired   State = "expired"   // its overlap has ended
	Withdrawn State = "withdrawn" // taken away by name
)

// KeyPlan is what is to become of one key.
type KeyPlan struct {
	ID    string     `json:"kid"`
	Alg   string     `json:"alg"`
	State State      `json:"state"`
	Until *time.Time `json:"until,omitempty"` // of an overlap
	// AtSource says that a withdrawn key is still at the source: tokens are still
	// signed with it, and nobody will accept them.
	AtSource bool `json:"atSource,omitempty"`
}

// Plan is what a publication would change.
type Plan struct {
	Issuer string    `json:"issuer"`
	Keys   []KeyPlan `json:"keys"`
	// Writes names the documents that differ, in the order of writing.
	Writes []string `json:"writes"`

	documents map[string]Document
}

// document reads one document of the plan, as it is to be.
func (p *Plan) document(name string) Document { return p.documents[name] }

// remembered is the stored memory. Version 1.
type remembered struct {
	Version int      `json:"version"`
	Issuer  string   `json:"issuer"`
	Keys    []record `json:"keys"`
}

// record is what is known of a key that is not simply at the source.
type record struct {
	ID        string     `json:"kid"`
	Missed    *time.Time `json:"missed,omitempty"`
	Withdrawn *time.Time `json:"withdrawn,omitempty"`
}

func (r *remembered) find(id string) *record {
	for i := range r.Keys {
		if r.Keys[i].ID == id {
			return &r.Keys[i]
		}
	}
	return nil
}

// Plan compares the source's keys with what is published. It writes nothing. A
// source without a key is an error: it would lock every workload out.
func (p *Publisher) Plan(ctx context.Context, source Set) (*Plan, error) {
	if len(source.Keys) == 0 {
		return nil, errors.New("the source has no key: nothing is published")
	}
	old, err := p.published(ctx)
	if err != nil {
		return nil, err
	}
	next, err := p.merge(source, old)
	if err != nil {
		return nil, err
	}
	return p.render(next, old)
}

// published is what the place holds now.
type published struct {
	documents map[string][]byte
	keys      Set
	memory    remembered
}

func (p *Publisher) published(ctx context.Context) (*published, error) {
	old := &published{documents: map[string][]byte{}}
	for _, name := range []string{memory, KeySet, Discovery} {
		b, err := read(ctx, p.c.Place, name)
		if err != nil {
			return nil, err
		}
		old.documents[name] = b
	}
	if b := old.documents[Discovery]; b != nil {
		var d struct {
			Issuer string `json:"issuer"`
		}
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, fmt.Errorf("%s is not JSON: is this the right place?", Discovery)
		}
		if d.Issuer != p.c.Issuer {
			return nil, fmt.Errorf("the place already belongs to issuer %s: give each issuer its own", d.Issuer)
		}
	}
	if b := old.documents[memory]; b != nil {
		// A memory that cannot be read may hold withdrawals: guessing would undo them.
		if err := json.Unmarshal(b, &old.memory); err != nil || old.memory.Version != 1 || old.memory.Issuer != p.c.Issuer {
			return nil, fmt.Errorf("%s is not this issuer's, or of another version: mend it, or remove it to forget withdrawals", memory)
		}
	}
	if b := old.documents[KeySet]; b != nil {
		var s struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if json.Unmarshal(b, &s) == nil && len(s.Keys) == 0 {
			return old, nil
		}
		keys, err := ParseSet(b)
		if err != nil {
			return nil, fmt.Errorf("the published %s: %w", KeySet, err)
		}
		old.keys = keys
	}
	return old, nil
}

// merged is what is to be published.
type merged struct {
	keys   Set
	plan   []KeyPlan
	memory remembered
}

func (p *Publisher) merge(source Set, old *published) (*merged, error) {
	now := p.c.Now().UTC().Truncate(time.Second)
	m := &merged{memory: remembered{Version: 1, Issuer: p.c.Issuer, Keys: []record{}}}
	var all Set
	all.Add(source.Keys...)
	all.Add(old.keys.Keys...)
	for _, id := range p.c.Withdraw {
		if _, ok := all.find(id); !ok && old.memory.find(id) == nil {
			return nil, fmt.Errorf("no key %q is published or at the source", id)
		}
	}
	for _, r := range old.memory.Keys {
		if r.Withdrawn != nil {
			m.memory.Keys = append(m.memory.Keys, r)
		}
	}
	for _, k := range all.Keys {
		m.key(p, k, source, old, now)
	}
	if len(m.keys.Keys) == 0 {
		return nil, errors.New("no key would be left: nothing is published")
	}
	if len(m.keys.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys would be published, the limit is %d", len(m.keys.Keys), maxKeys)
	}
	return m, nil
}

// key decides about one key.
func (m *merged) key(p *Publisher, k Key, source Set, old *published, now time.Time) {
	plan := KeyPlan{ID: k.ID, Alg: k.Alg}
	_, atSource := source.find(k.ID)
	_, before := old.keys.find(k.ID)
	withdrawn := m.memory.find(k.ID)
	if withdrawn == nil && slices.Contains(p.c.Withdraw, k.ID) {
		m.memory.Keys = append(m.memory.Keys, record{ID: k.ID, Withdrawn: &now})
		withdrawn = m.memory.find(k.ID)
	}
	switch {
	case withdrawn != nil:
		plan.State, plan.AtSource = Withdrawn, atSource
	case atSource && before:
		plan.State = Current
		m.keys.Add(k)
	case atSource:
		plan.State = Added
		m.keys.Add(k)
	default:
		missed := now
		if r := old.memory.find(k.ID); r != nil && r.Missed != nil {
			missed = *r.Missed
		}
		until := missed.Add(p.c.Overlap)
		if !now.Before(until) {
			plan.State = Expired
			break
		}
		plan.State, plan.Until = Overlap, &until
		m.keys.Add(k)
		m.memory.Keys = append(m.memory.Keys, record{ID: k.ID, Missed: &missed})
	}
	m.plan = append(m.plan, plan)
}

// render makes the documents and says which of them differ from the old ones.
func (p *Publisher) render(m *merged, old *published) (*Plan, error) {
	keys, err := m.keys.JSON()
	if err != nil {
		return nil, fmt.Errorf("rendering the key set: %w", err)
	}
	discovery, err := discoveryJSON(p.c.Issuer, m.keys)
	if err != nil {
		return nil, err
	}
	recall, err := json.MarshalIndent(m.memory, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering the memory: %w", err)
	}
	plan := &Plan{Issuer: p.c.Issuer, Keys: m.plan, Writes: []string{}, documents: map[string]Document{
		memory:    {Body: append(recall, '\n'), ContentType: "application/json", CacheControl: "no-store"},
		KeySet:    {Body: append(keys, '\n'), ContentType: "application/jwk-set+json", CacheControl: "public, max-age=300, must-revalidate"},
		Discovery: {Body: discovery, ContentType: "application/json", CacheControl: "public, max-age=3600"},
	}}
	// The memory first: a withdrawal that is interrupted stays one. Discovery last:
	// who finds it finds the keys that it names.
	for _, name := range []string{memory, KeySet, Discovery} {
		if !bytes.Equal(old.documents[name], plan.documents[name].Body) {
			plan.Writes = append(plan.Writes, name)
		}
	}
	return plan, nil
}

// discoveryJSON is what kube-apiserver would publish.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
func discoveryJSON(issuer string, keys Set) ([]byte, error) {
	at, err := keysURL(issuer)
	if err != nil {
		return nil, err
	}
	var algorithms []string
	for _, k := range keys.Keys {
		if k.Alg != "" && !slices.Contains(algorithms, k.Alg) {
			algorithms = append(algorithms, k.Alg)
		}
	}
	slices.Sort(algorithms)
	b, err := json.MarshalIndent(struct {
		Issuer     string   `json:"issuer"`
		KeysURL    string   `json:"jwks_uri"`
		Responses  []string `json:"response_types_supported"`
		Subjects   []string `json:"subject_types_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}{issuer, at, []string{"id_token"}, []string{"public"}, algorithms}, "", "  ")
	return append(b, '\n'), err
}

// Apply writes what the plan names, and reads it back.
func (p *Publisher) Apply(ctx context.Context, plan *Plan) error {
	for _, name := range plan.Writes {
		d := plan.document(name)
		if err := p.c.Place.Write(ctx, name, d); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		b, err := p.c.Place.Read(ctx, name)
		if err != nil {
			return fmt.Errorf("reading %s back: %w", name, err)
		}
		if !bytes.Equal(b, d.Body) {
			return fmt.Errorf("%s reads back as something else: does another program write here?", name)
		}
	}
	return nil
}

// Once publishes what the source has now, and says what it changed; in a dry run, what it
// would change.
func (p *Publisher) Once(ctx context.Context, source Source, dry bool) (*Plan, error) {
	keys, err := source(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := p.Plan(ctx, keys)
	if err == nil && !dry {
		err = p.Apply(ctx, plan)
	}
	return plan, err
}

// Follow publishes what source gives, now and then every interval, until ctx
// ends. A round that fails is logged, and what was published stays.
func (p *Publisher) Follow(ctx context.Context, interval time.Duration, source Source) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := p.round(ctx, source); err != nil && ctx.Err() == nil {
			p.c.Log.ErrorContext(ctx, "could not publish the issuer's documents", "issuer", p.c.Issuer, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Publisher) round(ctx context.Context, source Source) error {
	plan, err := p.Once(ctx, source, false)
	if err != nil {
		return err
	}
	if len(plan.Writes) > 0 {
		var ids []string
		for _, k := range plan.Keys {
			ids = append(ids, string(k.State)+":"+k.ID)
		}
		p.c.Log.InfoContext(ctx, "published the issuer's documents", "issuer", p.c.Issuer, "keys", strings.Join(ids, " "))
	}
	return nil
}
