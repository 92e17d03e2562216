// @confluentinc/kafka-javascript: every codec with keys, tombstones, headers and
// timestamps; transactions; admin.
//
// usage: roundtrip.js BOOTSTRAP
import assert from 'node:assert/strict'
import pkg from '@confluentinc/kafka-javascript'
const { Kafka, logLevel } = pkg.KafkaJS

const kafka = new Kafka({ kafkaJS: { brokers: [process.argv[2]], logLevel: logLevel.ERROR } })
const admin = kafka.admin()
await admin.connect()

interface Seen { offset: string, key?: string, value: string | null, timestamp: string, header: string }

async function read (topic: string, count: number): Promise<Map<number, Seen[]>> {
  const got = new Map<number, Seen[]>()
  let n = 0
  const consumer = kafka.consumer({ kafkaJS: { groupId: `${topic}-group`, fromBeginning: true } })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  await new Promise<void>((resolve, reject) => {
    setTimeout(() => reject(new Error(`${topic}: ${n} of ${count} records came within 30 s`)), 30000).unref()
    consumer.run({
      eachMessage: async ({ partition, message: m }) => {
        got.set(partition, [...(got.get(partition) ?? []), {
          offset: m.offset, key: m.key?.toString(), value: m.value === null ? null : m.value.toString(), timestamp: m.timestamp, header: String(m.headers?.n)
        }])
        if (++n === count) resolve()
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  return got
}

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  const topic = `ts-${codec}`
  await admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 1 }] })
  const producer = kafka.producer({ kafkaJS: { idempotent: true }, 'compression.codec': codec })
  await producer.connect()
  const now = Date.now()
  const messages = Array.from({ length: 900 }, (_, i) => ({
    key: `k${i}`, value: i % 10 === 0 ? null : `value ${i} `.repeat(1 + i % 9), partition: i % 3, timestamp: String(now - i), headers: { n: String(i) }
  }))
  // send changes the messages in place.
  const want = new Map<number, Seen[]>()
  messages.forEach((m, i) => want.set(m.partition, [...(want.get(m.partition) ?? []), { offset: String(Math.floor(i / 3)), key: m.key, value: m.value, timestamp: m.timestamp, header: m.headers.n }]))
  await producer.send({ topic, messages })
  await producer.disconnect()
  const got = await read(topic, 900)
  for (const [p, records] of want) assert.deepEqual(got.get(p), records, `${topic}-${p} came back different`)
  console.log(topic, 'ok')
}

await admin.createTopics({ topics: [{ topic: 'ts-txn', numPartitions: 1, replicationFactor: 1 }] })
const producer = kafka.producer({ kafkaJS: { transactionalId: 'ts', maxInFlightRequests: 1 } })
await producer.connect()
const committed: string[] = []
for (let i = 0; i < 30; i++) {
  const transaction = await producer.transaction()
  await transaction.send({ topic: 'ts-txn', messages: [{ value: String(i) }] })
  if (i % 3 === 1) await transaction.abort()
  else { await transaction.commit(); committed.push(String(i)) }
}
await producer.disconnect()
assert.deepEqual((await read('ts-txn', committed.length)).get(0)?.map(s => s.value), committed, 'what was aborted was read, or what was committed not')
console.log('transactions ok')
await admin.deleteTopics({ topics: ['ts-txn'] })
await admin.disconnect()
