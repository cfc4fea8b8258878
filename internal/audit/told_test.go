package audit

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who passes an answer on loses nothing of it that a newer server has told, and may
// fill in what it knows.
func TestAnswersKeepWhatIsNotKnown(t *testing.T) {
	const told = `{"more": 7, "servers": [{"name": "b"}], "value": [
		{"time": "2026-11-30T12:00:00Z", "id": "1", "correlation": "", "action": "a", "resource": "r", "granted": false, "zone": "north",
		 "exchange": {"clientId": "c", "device": {"os": "plan9"}, "registered": [{"name": "n", "issuer": "i", "audience": "u", "since": 3}]}},
		{"time": "2026-11-30T12:00:01Z", "id": "2", "correlation": "", "action": "a", "resource": "r", "granted": true}]}`
	var a Answer
	if err := json.Unmarshal([]byte(told), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Servers) != 1 || len(a.Value) != 2 || a.Value[0].Exchange.ClientID != "c" {
		t.Fatalf("the answer is %+v", a)
	}
	a.Value[0].Server = "b"
	b, err := json.Marshal(a.Value)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	var whole struct{ Value []map[string]any }
	if err := json.Unmarshal([]byte(told), &whole); err != nil {
		t.Fatal(err)
	}
	want = whole.Value
	want[0]["server"] = "b"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is passed on (-want +got):\n%s", diff)
	}
	if s := string(mustMarshal(t, a.Value[1])); s != string(mustMarshal(t, Record{Time: a.Value[1].Time, ID: "2", Action: "a", Resource: "r", Granted: true})) {
		t.Errorf("a record with nothing unknown is %s", s)
	}
}

func mustMarshal(t *testing.T, r Record) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
