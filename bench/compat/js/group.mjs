// One member of a consumer group in kafkajs.
//
// usage: group.mjs BOOTSTRAP GROUP TOPIC OUT [SECONDS]
import { appendFileSync } from 'node:fs'
import kafkajs from 'kafkajs'

const [bootstrap, groupId, topic, out, seconds] = process.argv.slice(2)
const kafka = new kafkajs.Kafka({ brokers: [bootstrap], clientId: 'compat', logLevel: kafkajs.logLevel.ERROR })
const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 1000, maxWaitTimeInMs: 200 })

async function leave () {
  await consumer.disconnect()
  process.exit(0)
}
process.on('SIGTERM', leave)
if (seconds) setTimeout(leave, Number(seconds) * 1000)

await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  eachBatchAutoResolve: true,
  eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, uncommittedOffsets, heartbeat }) => {
    for (const m of batch.messages) {
      appendFileSync(out, `${batch.partition} ${m.offset} ${m.value}\n`)
      resolveOffset(m.offset)
    }
    await commitOffsetsIfNecessary(uncommittedOffsets())
    await heartbeat()
  }
})
