// One member of a consumer group in @confluentinc/kafka-javascript.
//
// usage: group.js classic|consumer BOOTSTRAP GROUP TOPIC OUT [SECONDS]
import { appendFileSync } from 'node:fs'
import pkg from '@confluentinc/kafka-javascript'

const [protocol, bootstrap, groupId, topic, out, seconds] = process.argv.slice(2)
const consumer = new pkg.KafkaJS.Kafka({ kafkaJS: { brokers: [bootstrap], logLevel: pkg.KafkaJS.logLevel.ERROR } }).consumer({
  kafkaJS: { groupId, fromBeginning: true, autoCommit: false },
  ...(protocol === 'consumer' ? { 'group.protocol': 'consumer' } : { 'session.timeout.ms': 10000 })
})

async function leave (): Promise<void> {
  await consumer.disconnect()
  process.exit(0)
}
process.on('SIGTERM', leave)
if (seconds !== undefined) setTimeout(leave, Number(seconds) * 1000)

await consumer.connect()
await consumer.subscribe({ topics: [topic] })
await consumer.run({
  eachBatch: async ({ batch, resolveOffset, isStale }) => {
    for (const m of batch.messages) {
      if (isStale()) return
      appendFileSync(out, `${batch.partition} ${m.offset} ${m.value}\n`)
      resolveOffset(m.offset)
    }
    try {
      const last = batch.messages[batch.messages.length - 1]
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset: (BigInt(last.offset) + 1n).toString() }])
    } catch (e) {
      console.error('commit:', e) // the group rebalanced meanwhile: the records will come again
    }
  }
})
