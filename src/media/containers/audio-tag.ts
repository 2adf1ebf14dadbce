/** The first byte of an audio tag's body, and silence for the codecs that need nothing else (FLV 10.1, E.4.2.1). */

export type FlvAudioFormat = 'aac' | 'pcma' | 'pcmu' | 'speex';

/** FLV's SoundFormat numbers, the `audiocodecid` of `onMetaData`. */
export const FLV_AUDIO_CODEC_IDS = { pcma: 7, pcmu: 8, aac: 10, speex: 11 } as const satisfies Record<
  FlvAudioFormat,
  number
>;

const SAMPLES_OF_16_BITS = 0x02;
const STEREO = 0x01;
const RATE_5_5_KHZ = 0 << 2;
const RATE_11_KHZ = 1 << 2;
const RATE_44_KHZ = 3 << 2;

/**
 * Rate, size and channels are fixed for every format: AAC always has 44 kHz, 16 bits, stereo (decoders use its
 * configuration), the others are mono; G.711 at 8 kHz and Speex at 16 kHz have no number of their own and are marked as
 * ffmpeg and Flash mark them.
 */
const HEADERS: Record<FlvAudioFormat, number> = {
  aac: (FLV_AUDIO_CODEC_IDS.aac << 4) | RATE_44_KHZ | SAMPLES_OF_16_BITS | STEREO,
  pcma: (FLV_AUDIO_CODEC_IDS.pcma << 4) | RATE_5_5_KHZ | SAMPLES_OF_16_BITS,
  pcmu: (FLV_AUDIO_CODEC_IDS.pcmu << 4) | RATE_5_5_KHZ | SAMPLES_OF_16_BITS,
  speex: (FLV_AUDIO_CODEC_IDS.speex << 4) | RATE_11_KHZ | SAMPLES_OF_16_BITS,
};

/** The first byte of an audio tag's body. */
export function audioTagHeader(format: FlvAudioFormat): number {
  return HEADERS[format];
}

/** The body of an audio tag of a format without packet types (G.711, Speex). */
export function audioFrame(format: Exclude<FlvAudioFormat, 'aac'>, payload: Buffer): Buffer {
  const body = Buffer.allocUnsafe(1 + payload.length);
  body[0] = audioTagHeader(format);
  payload.copy(body, 1);
  return body;
}

/** The code of the smallest positive amplitude (A-law has no zero) and of zero (ITU-T G.711). */
const SILENT_CODE = { pcma: 0xd5, pcmu: 0xff } as const;

/** G.711 silence: one byte per sample at 8 kHz. */
export function silentG711(format: 'pcma' | 'pcmu', samples: number): Buffer {
  return Buffer.alloc(samples, SILENT_CODE[format]);
}
