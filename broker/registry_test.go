package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRegistry walks the table: every row is whole, and ApiVersions tells it.
func TestRegistry(t *testing.T) {
	seen := map[int16]string{}
	for _, a := range table {
		if was, twice := seen[a.key]; twice {
			t.Errorf("key %d is %s and %s", a.key, was, a.name)
		}
		seen[a.key] = a.name
		req := kmsg.RequestForKey(a.key)
		if req == nil {
			t.Errorf("%s: kmsg does not know key %d", a.name, a.key)
			continue
		}
		if a.min < 0 || a.min > a.max || a.max > req.MaxVersion() {
			t.Errorf("%s serves %d to %d; kmsg knows 0 to %d", a.name, a.min, a.max, req.MaxVersion())
		}
		if a.advertised > a.min {
			t.Errorf("%s advertises from %d and serves from %d", a.name, a.advertised, a.min)
		}
		if a.advertised < a.min && a.key != keyProduce {
			t.Errorf("%s advertises %d, which it does not serve", a.name, a.advertised)
		}
		if asks := a.resource != 0 && a.operation != 0; asks == a.open {
			t.Errorf("%s: resource %d, operation %d, open %v: it asks the authorizer, or it is open", a.name, a.resource, a.operation, a.open)
		}
		if a.handle == nil {
			t.Errorf("%s has no handler", a.name)
		}
	}

	b := run(t, nil)
	for v := range apiVersionsAPI.max + 1 {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = v, "test", "1"
		resp := ask[*kmsg.ApiVersionsResponse](dial(t, b), req)
		if len(resp.ApiKeys) != len(table) {
			t.Errorf("v%d tells %d keys of %d", v, len(resp.ApiKeys), len(table))
		}
		for _, k := range resp.ApiKeys {
			if a := b.apis.find(k.ApiKey); a == nil || a.advertised != k.MinVersion || a.max != k.MaxVersion {
				t.Errorf("v%d tells key %d from %d to %d", v, k.ApiKey, k.MinVersion, k.MaxVersion)
			}
		}
	}
}

// TestApiVersionsTooNew: a version above the newest gets version 0 and the
// range to come down to, and the connection goes on (KIP-511).
func TestApiVersionsTooNew(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = apiVersionsAPI.max + 1
	w.send(req)
	body, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(body[4:]); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != errUnsupportedVersion || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != keyApiVersions || resp.ApiKeys[0].MaxVersion != apiVersionsAPI.max {
		t.Errorf("answer %+v", resp)
	}
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = apiVersionsAPI.max, "test", "1"
	if resp := ask[*kmsg.ApiVersionsResponse](w, req); resp.ErrorCode != errNone {
		t.Errorf("the next request got %d", resp.ErrorCode)
	}
	req.ClientSoftwareName = "no spaces, please"
	if resp := ask[*kmsg.ApiVersionsResponse](w, req); resp.ErrorCode != errInvalidRequest {
		t.Errorf("a software name with spaces got %d", resp.ErrorCode)
	}
}

// TestLimits walks the table of limits: each has a default, an effect and a
// value in force that options can change.
func TestLimits(t *testing.T) {
	for _, l := range limits {
		if l.Effect == "" || l.Default < 0 {
			t.Errorf("%s: default %d, effect %q", l.Name, l.Default, l.Effect)
		}
		o := Options{Limits: map[string]int64{l.Name: 7}}
		if err := o.checkLimits(); err != nil {
			t.Error(err)
		}
		if got := o.limit(l.Name); got != 7 {
			t.Errorf("%s is %d after it was set to 7", l.Name, got)
		}
		if l.Key == "" {
			continue
		}
		o = Options{Static: map[string]string{l.Key: "8"}}
		if got := o.limit(l.Name); got != 8 {
			t.Errorf("%s is %d after %s was set to 8", l.Name, got, l.Key)
		}
	}
}
