package cluster

var brokerBasics []ConfigDef
var brokerLog []ConfigDef
var brokerNetwork []ConfigDef
var brokerSecurity []ConfigDef
var brokerGroups []ConfigDef
var brokerTransactions []ConfigDef
var brokerReplication []ConfigDef
var brokerUnused []ConfigDef
