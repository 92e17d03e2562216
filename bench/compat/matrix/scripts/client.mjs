// The matrix's kafkajs: client.mjs BOOTSTRAP, run where node_modules has kafkajs and its
// codecs. Commands and answers are those of line/line.go.
import { createRequire } from 'node:module'
import readline from 'node:readline'

const require = createRequire(process.cwd() + '/')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel, Partitioners } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = new (require('kafkajs-lz4'))().codec

const kafka = new Kafka({ clientId: 'matrix', brokers: [process.argv[2]], logLevel: logLevel.ERROR })
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }
const firstTime = 1500000000000
const key = i => (i % 7 === 3 && i % 11 !== 5 ? null : `key-${i}`)
const value = i => (i % 11 === 5 ? null : `value ${i} ${'abcdefg'.repeat(i % 40)}`)
const hex = b => (b === null || b === undefined ? '~' : b.toString('hex'))
const say = (...fields) => process.stdout.write(fields.join('\t') + '\n')

async function produce(topic, codec, n) {
  const producer = kafka.producer({ createPartitioner: (Partitioners.LegacyPartitioner ?? Partitioners.DefaultPartitioner), retry: { retries: 1 } })
  await producer.connect()
  for (let at = 0; at < n; at += 100) {
    const messages = Array.from({ length: Math.min(100, n - at) }, (_, i) => ({ key: key(at + i), value: value(at + i), partition: 0, timestamp: String(firstTime + at + i) }))
    const [{ baseOffset }] = await producer.send({ topic, acks: -1, compression: codecs[codec], messages })
    messages.forEach((_, i) => say('acked', Number(baseOffset) + i))
  }
  await producer.disconnect()
}

// kafkajs reads as a member of a group only.
async function member(topic, group, last) {
  const consumer = kafka.consumer({ groupId: group, retry: { retries: 2 } })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ message: m }) => {
        const offset = Number(m.offset)
        if (offset > last) return
        say('record', offset, m.timestamp, hex(m.key), hex(m.value))
        if (offset === last) {
          await consumer.commitOffsets([{ topic, partition: 0, offset: String(last + 1) }])
          resolve()
        }
      },
    })
  })
  await consumer.disconnect()
}

for await (const text of readline.createInterface({ input: process.stdin })) {
  const f = text.split(' ')
  try {
    if (f[0] === 'produce') await produce(f[1], f[2], Number(f[3]))
    else if (f[0] === 'consume') await member(f[1], `alone-${f[1]}-${Date.now()}`, Number(f[2]))
    else await member(f[1], f[2], Number(f[3]))
    say('end')
  } catch (e) {
    console.error(e)
    say('error', String(e).replace(/\s+/g, ' '))
  }
}
process.exit(0)
