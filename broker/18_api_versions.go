package broker

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec"
)

// ApiVersions: v0–4.
//
// Answered from the registry, before login too. A version above the newest is
// answered in version 0 with UNSUPPORTED_VERSION and the range of this one API
// (KIP-511); its body is not looked at. Features whose least level is 0 are
// told from v4 on (KAFKA-17011).
var apiVersionsAPI = api{
	key: keyApiVersions, name: "ApiVersions", min: 0, max: 4, advertised: 0,
	open: true, beforeLogin: true, place: onLoop, handle: handleApiVersions,
}

// softwareName is what KIP-511 allows for the name and version of a client.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func handleApiVersions(rq *request) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	if !rq.api.serves(rq.version) {
		rq.version, rq.failed = 0, true
		resp.ErrorCode = errUnsupportedVersion
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{apiRange(rq.api)}
		return resp
	}
	req, err := codec.DecodeRequest(keyApiVersions, rq.version, rq.body)
	if err != nil {
		rq.fail(err)
		return nil
	}
	r, ok := req.(*kmsg.ApiVersionsRequest)
	if !ok || rq.version >= 3 && (!softwareName.MatchString(r.ClientSoftwareName) || !softwareName.MatchString(r.ClientSoftwareVersion)) {
		rq.failed = true
		resp.ErrorCode = errInvalidRequest
		return resp
	}
	rq.s.softwareName, rq.s.softwareVersion = r.ClientSoftwareName, r.ClientSoftwareVersion
	for _, a := range rq.s.b.apis.list {
		resp.ApiKeys = append(resp.ApiKeys, apiRange(a))
	}
	image := rq.s.b.cluster.Image()
	for _, f := range cluster.Features {
		if f.Min == 0 && rq.version < 4 {
			continue
		}
		one := kmsg.NewApiVersionsResponseSupportedFeature()
		one.Name, one.MinVersion, one.MaxVersion = f.Name, f.Min, f.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, one)
	}
	for _, f := range cluster.Features {
		level := image.Features[f.Name]
		if level == 0 {
			continue
		}
		one := kmsg.NewApiVersionsResponseFinalizedFeature()
		one.Name, one.MinVersionLevel, one.MaxVersionLevel = f.Name, level, level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, one)
	}
	resp.FinalizedFeaturesEpoch = image.Version
	return resp
}

func apiRange(a *api) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.advertised, a.max
	return k
}
