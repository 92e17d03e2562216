package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// UpdateFeatures: v0–2 (KIP-584, KIP-778, KIP-1022). All levels are set or
// none. v0–1 answer for each feature, v2 for the request.
var updateFeaturesAPI = api{
	key: keyUpdateFeatures, name: "UpdateFeatures", min: 0, max: 2, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleUpdateFeatures),
}

// The upgrade types of v1+.
const (
	featureUpgrade         = 1
	featureSafeDowngrade   = 2
	featureUnsafeDowngrade = 3
)

func handleUpdateFeatures(rq *request, r *kmsg.UpdateFeaturesRequest) kmsg.Response {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	if !rq.mayCluster(auth.OpAlter) {
		err := refuse(errClusterAuthorization, "Cluster authorization failed.")
		resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
		return refused(rq, resp)
	}
	err := rq.s.b.updateFeatures(rq.version, r)
	rq.failed = err != nil
	if rq.version >= 2 || err != nil {
		resp.ErrorCode, resp.ErrorMessage = codeOf(err), message(err)
		return resp
	}
	for i := range r.FeatureUpdates {
		one := kmsg.NewUpdateFeaturesResponseResult()
		one.Feature = r.FeatureUpdates[i].Feature
		resp.Results = append(resp.Results, one)
	}
	return resp
}

func (b *Broker) updateFeatures(version int16, r *kmsg.UpdateFeaturesRequest) error {
	return b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		var records []cluster.Record
		for i := range r.FeatureUpdates {
			u := &r.FeatureUpdates[i]
			how := u.UpgradeType
			if version == 0 {
				how = featureUpgrade // allow_downgrade is not looked at (QuorumController.updateFeatures)
			}
			if slices.ContainsFunc(r.FeatureUpdates[:i], func(o kmsg.UpdateFeaturesRequestFeatureUpdate) bool { return o.Feature == u.Feature }) {
				return nil, refuse(errInvalidRequest, fmt.Sprintf("Feature %s is named more than once.", u.Feature))
			}
			if err := checkFeature(image, u.Feature, u.MaxVersionLevel, how); err != nil {
				return nil, err
			}
			if u.MaxVersionLevel != image.Features[u.Feature] {
				records = append(records, cluster.FeatureRecord{Name: u.Feature, Level: u.MaxVersionLevel})
			}
		}
		if r.ValidateOnly {
			return nil, nil
		}
		return records, nil
	})
}

// checkFeature holds a level against what is supported and set
// (FeatureControlManager).
func checkFeature(image *cluster.Image, name string, level int16, how int8) error {
	bad := func(why string) error {
		return refuse(errInvalidUpdateVersion, fmt.Sprintf("Feature %s cannot be set to level %d. %s", name, level, why))
	}
	at := slices.IndexFunc(cluster.Features, func(f cluster.Feature) bool { return f.Name == name })
	if at < 0 {
		return bad("This broker does not support the feature.")
	}
	f, current := cluster.Features[at], image.Features[name]
	switch {
	case how < featureUpgrade || how > featureUnsafeDowngrade:
		return bad(fmt.Sprintf("The upgrade type %d is not known.", how))
	case level < 0:
		return bad("A feature version cannot be less than 0.")
	case level < f.Min || level > f.Max:
		return bad(fmt.Sprintf("This broker only supports versions %d-%d.", f.Min, f.Max))
	case level == current:
		return nil
	case level < current && how == featureUpgrade:
		return bad("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case level > current && how != featureUpgrade:
		return bad("Can't upgrade the version of this feature with a downgrade type.")
	case name == "metadata.version" && level < current:
		return bad("Downgrades of the metadata are not supported.")
	case name == "kraft.version":
		return bad("The quorum of a single node is static.")
	}
	return nil
}
