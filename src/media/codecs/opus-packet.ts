/** Length and channels of an Opus packet, from its first bytes, and packets of silence (RFC 6716). */

/** Opus counts time in samples at 48 kHz, independently of the recording. */
export const OPUS_SAMPLE_RATE = 48_000;

/** No packet is longer than 120 ms (RFC 6716, 3.2.5). */
const MAX_PACKET_SAMPLES = 5760;

/** Samples per frame by configuration: SILK 10 to 60 ms, hybrid 10 and 20 ms, CELT 2.5 to 20 ms (RFC 6716, table 2). */
const SILK_SAMPLES = [480, 960, 1920, 2880];
const HYBRID_SAMPLES = [480, 960];
const CELT_SAMPLES = [120, 240, 480, 960];

/** Length of an Opus packet in samples at 48 kHz; 0 if it is not an Opus packet. */
export function opusPacketSamples(packet: Buffer): number {
  if (packet.length === 0) return 0;
  const toc = packet[0]!;
  const configuration = toc >> 3;
  const samples =
    configuration < 12
      ? SILK_SAMPLES[configuration & 3]!
      : configuration < 16
        ? HYBRID_SAMPLES[configuration & 1]!
        : CELT_SAMPLES[configuration & 3]!;
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 0x3f;
  const total = frames * samples;
  return total <= MAX_PACKET_SAMPLES ? total : 0;
}

/** Whether a packet holds two channels; encoders may change it with each packet. */
export function isStereoOpus(packet: Buffer): boolean {
  return packet.length > 0 && (packet[0]! & 0x04) !== 0;
}

/**
 * CELT at full band, mono, one frame: configurations 28 to 31 are 2.5, 5, 10 and 20 ms. The two bytes after it say
 * "silence" to the range decoder.
 */
const SILENCE = [31, 30, 29, 28].map((configuration, index) => ({
  samples: 960 >> index,
  packet: Buffer.of(configuration << 3, 0xff, 0xfe),
}));

/**
 * Creates packets of silence of a total length. They are mono, which decoders convert to the channels of the stream.
 *
 * @param samples at 48 kHz; rounded down to a multiple of 120 (2.5 ms, the shortest frame)
 */
export function opusSilence(samples: number): Buffer[] {
  const packets: Buffer[] = [];
  let rest = samples;
  for (const silence of SILENCE) for (; rest >= silence.samples; rest -= silence.samples) packets.push(silence.packet);
  return packets;
}

/** Says that the number of frames follows (RFC 6716, 3.2.5). */
const COUNTED = 3;

/**
 * One packet of silence.
 *
 * @param samples at 48 kHz; the length of an Opus packet
 */
export function silentOpusPacket(samples: number): Buffer {
  const frame = SILENCE.find((silence) => samples >= silence.samples && samples % silence.samples === 0) ?? SILENCE[0]!;
  const count = Math.max(1, samples / frame.samples);
  if (count === 1) return frame.packet;
  const [toc, ...payload] = frame.packet;
  return Buffer.of(toc! | COUNTED, count, ...Array.from({ length: count }, () => payload).flat());
}

/** The identification header of RFC 7845, with no pre-skip: a live stream is not cut to the sample. */
export function opusHead(channels: number): Buffer {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 0, 'latin1');
  head[8] = 1; // version
  head[9] = channels;
  head.writeUInt32LE(OPUS_SAMPLE_RATE, 12);
  return head;
}
