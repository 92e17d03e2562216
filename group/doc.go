// Package group is the group coordinator: classic groups, KIP-848 consumer
// groups and committed offsets, kept in __consumer_offsets in Kafka's own
// record schemas.
package group
