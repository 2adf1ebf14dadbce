import { VIDEO_FOURCC, type ForeignVideoCodec } from '../../../media/containers/enhanced-tag.ts';
import type { RenditionAudioCodec, RtmpAudioCodec } from '../../../renditions/encode-profile.ts';
import { includesCodec, type ServerCodecs } from '../../../rtmp/connect-extras.ts';
import type { AudioCodec, VideoCodec } from '../../../streams/live-stream.ts';
import type { CodecsView } from '../../../views/push-view.ts';
import type { AudioChoice, VideoChoice } from './choices.ts';

/** In which codecs a push goes to a server, and why. Pure. */

/** The codecs of a push on its way to one server. */
export interface CodecPair {
  readonly video: 'h264' | ForeignVideoCodec;
  readonly audio: RenditionAudioCodec;
}

/** Four-letter names of codecs that RTMP 1.0 does not know. */
export type ForeignName = (typeof VIDEO_FOURCC)[ForeignVideoCodec] | 'Opus';

/** What is remembered of a server. */
export interface HostKnowledge {
  /** It fails on fields of `connect` that RTMP 1.0 does not know. */
  readonly failsOnExtras?: boolean | undefined;
  /** It has closed connections at these codecs, and accepted the same push without them. */
  readonly refused?: readonly string[] | undefined;
  /** It has announced these codecs. */
  readonly announced?: readonly string[] | undefined;
}

/** What a platform is known to take, from `config/platforms.json`. */
export interface PlatformCodecs {
  readonly name: string;
  /** Without it nothing is known. */
  readonly takes?: readonly string[] | undefined;
}

/** What is published. A track that is missing is not, or it is not known yet. */
export interface PublishedCodecs {
  readonly video?: VideoCodec | undefined;
  readonly audio?: AudioCodec | undefined;
}

export interface CodecFacts {
  readonly video: VideoChoice;
  readonly audio: AudioChoice;
  /** Why only codecs of RTMP 1.0 are sent, whatever the server takes. */
  readonly plainBecause?: string | undefined;
  /** The audio codec of pushes in which Opus is not passed through. */
  readonly otherAudio: RtmpAudioCodec;
  /** The push asks for an encoding of its own. */
  readonly transcodes: boolean;
  readonly published: PublishedCodecs;
  /** What the server has announced on this connection; `undefined`: it has not answered yet. */
  readonly server?: ServerCodecs | undefined;
  readonly platform?: PlatformCodecs | undefined;
  readonly host: HostKnowledge;
  /** The server has closed a connection of this push at these codecs. */
  readonly dropped: ReadonlySet<ForeignName>;
  /** The codecs in which a standby picture can be encoded, if the push has one. */
  readonly standby?: ReadonlySet<ForeignVideoCodec> | undefined;
}

export interface CodecDecision {
  readonly pair: CodecPair;
  readonly why: string;
  /** Why the push cannot go on, as it asks for a codec that is not possible. */
  readonly refused?: string;
}

interface TrackDecision<Codec> {
  readonly codec: Codec;
  readonly why: string;
  readonly refused?: string;
}

/** As `onMetaData` and views call the codecs. */
export const NAMES = { h264: 'avc1', ...VIDEO_FOURCC, aac: 'mp4a', opus: 'Opus' } as const;
/** As people call them. */
export const TITLES = { vp08: 'VP8', vp09: 'VP9', av01: 'AV1', Opus: 'Opus' } as const satisfies Record<
  ForeignName,
  string
>;

/** The codecs of a pair that RTMP 1.0 does not know. */
export function foreignNames({ video, audio }: CodecPair): ForeignName[] {
  return [...(video === 'h264' ? [] : [NAMES[video]]), ...(audio === 'opus' ? [NAMES.opus] : [])];
}

export const isSamePair = (one: CodecPair, other: CodecPair): boolean =>
  one.video === other.video && one.audio === other.audio;

/** The tracks that may be sent in a codec that RTMP 1.0 does not know, which is what `connect` announces. */
export function mayPass({
  video,
  audio,
  plainBecause,
  otherAudio,
  transcodes,
}: Pick<CodecFacts, 'video' | 'audio' | 'plainBecause' | 'otherAudio' | 'transcodes'>): {
  readonly video: boolean;
  readonly audio: boolean;
} {
  if (plainBecause !== undefined) return { video: false, audio: false };
  return {
    video: video !== 'h264' && !transcodes,
    audio: audio === 'source' || (audio === 'auto' && otherAudio === 'aac'),
  };
}

export function chooseCodecs(facts: CodecFacts): CodecDecision {
  const video = chooseVideo(facts);
  const audio = chooseAudio(facts);
  const refused = video.refused ?? audio.refused;
  return {
    pair: { video: video.codec, audio: audio.codec },
    why: [video.why, audio.why].filter((why) => why !== '').join('; '),
    ...(refused !== undefined && { refused }),
  };
}

function chooseVideo(facts: CodecFacts): TrackDecision<CodecPair['video']> {
  const { video: choice, published, plainBecause, transcodes, standby } = facts;
  const h264 = (why: string): TrackDecision<'h264'> => ({ codec: 'h264', why });
  const codec = published.video;
  if (codec === undefined) return h264('');
  if (codec === 'h264') return h264(transcodes ? 'the push asks for an encoding' : 'the publisher sends H.264');
  if (transcodes) return h264('the push asks for an encoding');
  if (choice === 'h264') return h264('H.264 is asked for');
  if (plainBecause !== undefined) return h264(plainBecause);
  const name = NAMES[codec];
  if (standby && !standby.has(codec)) {
    const why = `the installed ffmpeg cannot encode a standby picture in ${TITLES[name]}`;
    return { ...h264(why), ...(choice === 'source' && { refused: why }) };
  }
  return passOr(facts, choice, name, codec, 'h264' as const);
}

function chooseAudio(facts: CodecFacts): TrackDecision<RenditionAudioCodec> {
  const { audio: choice, published, plainBecause, otherAudio } = facts;
  const other = choice === 'aac' ? 'aac' : otherAudio;
  const encoded = (why: string): TrackDecision<RtmpAudioCodec> => ({ codec: other, why });
  if (published.audio === undefined) return encoded('');
  if (published.audio !== 'opus') return encoded('the publisher sends no Opus');
  if (choice === 'aac') return encoded('AAC is asked for');
  if (choice === 'auto' && otherAudio !== 'aac') return encoded(`rtmp_transponder_audio_codec is ${otherAudio}`);
  if (plainBecause !== undefined) return encoded(plainBecause);
  return passOr(facts, choice, NAMES.opus, 'opus' as const, other);
}

function passOr<Passed, Other>(
  facts: CodecFacts,
  choice: 'auto' | 'source',
  name: ForeignName,
  passed: Passed,
  other: Other,
): TrackDecision<Passed | Other> {
  const { takes, why } = evidenceOf(facts, name);
  if (choice === 'auto') return { codec: takes === true ? passed : other, why };
  if (takes === false && facts.server && isAnnounced(facts.server, name) === false)
    return { codec: other, why, refused: `${why}, and the push must be sent as it is published` };
  return { codec: passed, why: takes === true ? why : `${TITLES[name]} is to be sent as it is published` };
}

/** Whether a server takes a codec; `undefined`: nothing says so. A refusal that was seen counts before all promises. */
function evidenceOf(
  { server, platform, host, dropped }: CodecFacts,
  name: ForeignName,
): { readonly takes: boolean | undefined; readonly why: string } {
  if (dropped.has(name) || host.refused?.includes(name))
    return { takes: false, why: `the server closed the connection at ${name}` };
  const announced = server && isAnnounced(server, name);
  if (announced !== undefined)
    return {
      takes: announced,
      why: announced ? `the server announced ${name}` : `the server did not announce ${name}`,
    };
  if (platform?.takes) {
    const takes = platform.takes.includes(name);
    return { takes, why: takes ? `${platform.name} takes ${name}` : `${platform.name} is not known to take ${name}` };
  }
  if (host.announced?.includes(name)) return { takes: true, why: `the server announced ${name} before` };
  return {
    takes: undefined,
    why: server ? `the server did not announce ${name}` : `the server has not announced ${name} yet`,
  };
}

/** `undefined`: the server says nothing about codecs of this kind. */
function isAnnounced({ video, audio }: ServerCodecs, name: ForeignName): boolean | undefined {
  const codecs = name === 'Opus' ? audio : video;
  return codecs && includesCodec(codecs, name);
}

/** The codecs that a push can tell from an answer of the server, to remember them. */
export const announcedNames = (server: ServerCodecs): ForeignName[] =>
  (Object.keys(TITLES) as ForeignName[]).filter((name) => isAnnounced(server, name) === true);

/** @param complies `comply` encodes the video */
export function codecsView({ pair, why }: CodecDecision, hasVideo: boolean, complies = false): CodecsView {
  const { audio } = pair;
  const isEncoded = complies && pair.video !== 'h264';
  return {
    ...(hasVideo && { video: NAMES[isEncoded ? 'h264' : pair.video] }),
    audio: audio === 'aac' || audio === 'opus' ? NAMES[audio] : audio,
    why: isEncoded ? `comply encodes the video; ${why}` : why,
  };
}
