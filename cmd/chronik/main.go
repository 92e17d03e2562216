// Command chronik is a Kafka-wire broker and its tools in one binary.
package main

func main() {}
