import type { types } from 'mediasoup';
import type { WorkerChannel } from '../runtime/worker-channel.ts';
import { INGEST_CODECS } from './codecs.ts';

/** What a media worker is asked once, when it has started. */

/** Milliseconds that a packet may take to the worker and back. */
const CHECK_TIMEOUT_MS = 2000;
/** An RTP packet of Opus: the header of RFC 3550, then a payload. */
const PAYLOAD = Buffer.from('payload');
const CHECK_PACKET = Buffer.concat([Buffer.from('806f00010000000000000001', 'hex'), PAYLOAD]);

const OPUS: types.RtpCodecParameters = { mimeType: 'audio/opus', payloadType: 111, clockRate: 48000, channels: 2 };

/**
 * Whether packets reach the gateway through the channel.
 *
 * @returns what is wrong; nothing when they do
 */
export async function checkChannel(worker: types.Worker, channel: WorkerChannel): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT_MS, 'the worker does not answer through it');
  });
  const check = sendThrough(worker, channel).catch((error: unknown) => String(error));
  try {
    return await Promise.race([check, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

async function sendThrough(worker: types.Worker, channel: WorkerChannel): Promise<string | undefined> {
  const router = await worker.createRouter({ mediaCodecs: INGEST_CODECS });
  try {
    const transport = await router.createDirectTransport();
    const producer = await transport.produce({
      kind: 'audio',
      rtpParameters: { codecs: [OPUS], encodings: [{ ssrc: 1 }] },
    });
    const { rtpCapabilities } = router;
    const consumer = await transport.consume({ producerId: producer.id, rtpCapabilities });
    let unlisten = (): void => {};
    const result = await new Promise<string | undefined>((resolve) => {
      unlisten = channel.listen(consumer.id, (packet) => {
        // The worker changes the header.
        const isWhole = packet.subarray(-PAYLOAD.length).equals(PAYLOAD);
        resolve(isWhole ? undefined : 'a packet arrived damaged');
      });
      consumer.once('rtp', () => resolve('a packet arrived as an event of mediasoup'));
      producer.send(CHECK_PACKET);
    });
    unlisten();
    return result;
  } finally {
    router.close();
  }
}

/**
 * Whether this build of the worker sends transport-cc feedback or REMB. A build without libwebrtc
 * (`ms_use_builtin_bwe`) does not, and does not report that. Only a build that does reports an incoming bitrate once a
 * producer has negotiated it.
 */
export async function sendsCongestionFeedback(router: types.Router): Promise<boolean> {
  const transport = await router.createDirectTransport();
  try {
    await transport.produce({
      kind: 'audio',
      rtpParameters: {
        codecs: [{ ...OPUS, rtcpFeedback: [{ type: 'transport-cc', parameter: '' }] }],
        headerExtensions: [{ uri: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01', id: 1 }],
        encodings: [{ ssrc: 1 }],
      },
    });
    const [stats] = await transport.getStats();
    return stats?.availableIncomingBitrate !== undefined;
  } finally {
    transport.close();
  }
}
