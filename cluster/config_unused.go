package cluster
var brokerReplication []ConfigDef
var brokerUnused []ConfigDef
