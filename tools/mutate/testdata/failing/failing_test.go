package failing

import "testing"

func TestYes(t *testing.T) {
	if !yes() {
		t.Error("no")
	}
}
