package kube

import (
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selects says whether a label selector, as JSON, takes an object with these
// labels. No selector and an empty one take all.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
func Selects(selector json.RawMessage, of map[string]string) (bool, error) {
	if len(selector) == 0 || string(selector) == "null" {
		return true, nil
	}
	var s metav1.LabelSelector
	if err := json.Unmarshal(selector, &s); err != nil {
		return false, errors.New("not a label selector")
	}
	match, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return false, err
	}
	return match.Matches(labels.Set(of)), nil
}
