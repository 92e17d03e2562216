// Package txn is the transaction coordinator, kept in __transaction_state in
// Kafka's own record schema.
package txn
