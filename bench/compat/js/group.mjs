// One member of a consumer group in kafkajs.
//
// usage: group.mjs BOOTSTRAP GROUP TOPIC OUT [SECONDS]
import { appendFileSync } from 'node:fs'
import kafkajs from 'kafkajs'

const [bootstrap, groupId, topic, out, seconds] = process.argv.slice(2)
// kafkajs calls its only assigner by a name of its own; this is the one that the
// other clients of a mixed group know as "range".
const range = ({ cluster }) => ({
  name: 'range',
  version: 0,
  protocol: ({ topics }) => ({
    name: 'range',
    metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) })
  }),
  assign: async ({ members }) => {
    const subscribers = new Map()
    for (const { memberId, memberMetadata } of members) {
      for (const t of kafkajs.AssignerProtocol.MemberMetadata.decode(memberMetadata).topics) {
        subscribers.set(t, [...(subscribers.get(t) ?? []), memberId])
      }
    }
    const assigned = new Map(members.map(m => [m.memberId, {}]))
    for (const [t, ids] of subscribers) {
      const partitions = cluster.findTopicPartitionMetadata(t).map(p => p.partitionId).sort((a, b) => a - b)
      ids.sort().forEach((id, i) => {
        const share = (n) => Math.ceil(n * partitions.length / ids.length)
        assigned.get(id)[t] = partitions.slice(share(i), share(i + 1))
      })
    }
    return [...assigned].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) })
    }))
  }
})

const kafka = new kafkajs.Kafka({ brokers: [bootstrap], clientId: 'compat', logLevel: kafkajs.logLevel.ERROR, retry: { retries: 50, maxRetryTime: 2000 } })
const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 1000, maxWaitTimeInMs: 200, partitionAssigners: [range] })

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
