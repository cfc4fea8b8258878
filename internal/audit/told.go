package audit

import "encoding/json"

// UnmarshalJSON keeps each record's text: a newer server may tell more of it than
// this program knows, and who passes it on must not drop that.
func (a *Answer) UnmarshalJSON(b []byte) error {
	type plain Answer
	var told struct {
		*plain
		Value []json.RawMessage `json:"value"`
	}
	told.plain = (*plain)(a)
	if err := json.Unmarshal(b, &told); err != nil {
		return err
	}
	a.Value = make([]Record, len(told.Value))
	for i, text := range told.Value {
		if err := json.Unmarshal(text, &a.Value[i]); err != nil {
			return err
		}
		a.Value[i].Told = text
	}
	return nil
}

// MarshalJSON adds what the record was told with and this program does not know.
func (r Record) MarshalJSON() ([]byte, error) {
	type plain Record
	known, err := json.Marshal(plain(r))
	if err != nil || r.Told == nil {
		return known, err
	}
	var ours, theirs map[string]any
	if err := json.Unmarshal(known, &ours); err != nil {
		return nil, err
	}
	if json.Unmarshal(r.Told, &theirs) != nil || !add(ours, theirs) {
		return known, nil
	}
	return json.Marshal(ours)
}

// add gives ours the members that only theirs have, at every depth, and says
// whether there were any.
func add(ours, theirs any) (added bool) {
	switch ours := ours.(type) {
	case map[string]any:
		theirs, _ := theirs.(map[string]any)
		for name, value := range theirs {
			own, known := ours[name]
			if !known {
				ours[name], added = value, true
				continue
			}
			added = add(own, value) || added
		}
	case []any:
		theirs, _ := theirs.([]any)
		for i := range min(len(ours), len(theirs)) {
			added = add(ours[i], theirs[i]) || added
		}
	}
	return added
}
