import type { RtmpAudioCodec } from '../ffmpeg/ffmpeg-audio-args.ts';
import { OPUS_SAMPLE_RATE, opusPacketSamples, opusSilence, silentOpusPacket } from '../media/codecs/opus-packet.ts';
import {
  ENHANCED_HEADER_BYTES,
  fourccNumber,
  opusFrame,
  opusSequenceHeader,
} from '../media/containers/enhanced-tag.ts';
import { AAC_SAMPLES_PER_FRAME, aacFrame, aacSequenceHeader, silentAacFrame } from '../media/codecs/aac.ts';
import { FLV_AUDIO_CODEC_IDS } from '../media/containers/audio-tag.ts';
import type { StreamMetadata } from '../media/containers/flv-tag.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE } from './aac-coder.ts';
import type { RenditionAudioCodec } from './encode-profile.ts';
import { PLAIN_FRAME_MS } from './plain-audio-frames.ts';

/** The audio of a rendition: one codec and its frames. */
export interface AudioFormat {
  readonly codec: RenditionAudioCodec;
  /** Milliseconds; of a frame of silence where {@link durationMs} says that others may differ. */
  readonly frameMs: number;
  /** Milliseconds of a frame, where they are not all the same. */
  readonly durationMs?: (frame: Buffer) => number;
  /** The same for the body of a tag. */
  readonly bodyMs?: (body: Buffer) => number;
  /** The body of a tag with one frame of silence. */
  readonly silence: Buffer;
  /** The same, as long as the frame of another tag's body; where frames are not all of one length. */
  readonly silenceOf?: (body: Buffer) => Buffer;
  /** The body of the sequence header, of a codec that has one. */
  readonly header?: Buffer;
  /** The body of a tag with a frame of the encoder. */
  readonly body: (frame: Buffer) => Buffer;
  readonly metadata: Pick<StreamMetadata, 'audioCodecId' | 'audioSampleRate' | 'audioChannels'>;
}

export const AAC_FORMAT: AudioFormat = {
  codec: 'aac',
  frameMs: (AAC_SAMPLES_PER_FRAME * 1000) / AAC_SAMPLE_RATE,
  silence: aacFrame(silentAacFrame(AAC_CHANNELS)),
  header: aacSequenceHeader(AAC_SAMPLE_RATE, AAC_CHANNELS),
  body: aacFrame,
  metadata: {
    audioCodecId: FLV_AUDIO_CODEC_IDS.aac,
    audioSampleRate: AAC_SAMPLE_RATE,
    audioChannels: AAC_CHANNELS,
  },
};

const OPUS_SILENCE_MS = 20;
/** As WebRTC announces it; packets may have one. */
const OPUS_CHANNELS = 2;

/** The packet in the body of a tag. */
const opusPacketOf = (body: Buffer): Buffer => body.subarray(ENHANCED_HEADER_BYTES);
function opusMs(packet: Buffer): number {
  return (opusPacketSamples(packet) * 1000) / OPUS_SAMPLE_RATE;
}

/** Opus as the publisher sends it. */
export const OPUS_FORMAT: AudioFormat = {
  codec: 'opus',
  frameMs: OPUS_SILENCE_MS,
  durationMs: opusMs,
  bodyMs: (body) => opusMs(opusPacketOf(body)),
  silence: opusFrame(opusSilence((OPUS_SILENCE_MS * OPUS_SAMPLE_RATE) / 1000)[0]!),
  silenceOf: (body) => opusFrame(silentOpusPacket(opusPacketSamples(opusPacketOf(body)))),
  header: opusSequenceHeader(OPUS_CHANNELS),
  body: opusFrame,
  metadata: {
    audioCodecId: fourccNumber('Opus'),
    audioSampleRate: OPUS_SAMPLE_RATE,
    audioChannels: OPUS_CHANNELS,
  },
};

/** @param silence the body of a tag with one frame of silence: Speex has to encode it */
export function plainAudioFormat(codec: Exclude<RtmpAudioCodec, 'aac'>, silence: Buffer): AudioFormat {
  return {
    codec,
    frameMs: PLAIN_FRAME_MS,
    silence,
    body: (frame) => frame,
    metadata: {
      audioCodecId: FLV_AUDIO_CODEC_IDS[codec],
      audioSampleRate: codec === 'speex' ? 16_000 : 8000,
      audioChannels: 1,
    },
  };
}
