import { EcmaArray, type Amf0Object, type Amf0Value } from '../media/amf0.ts';

/** What `connect` says and answers about Enhanced RTMP (v2, "Enhancing NetConnection connect Command"). Pure. */

/** Fields of `connect` besides those of RTMP 1.0. */
export type ConnectExtras = Amf0Object;

/** Flags of `capsEx`. Of these the client handles requests to reconnect. */
const CAPS_EX_RECONNECT = 1;
/** Flags of the codec maps. */
const CAN_DECODE = 1;
const CAN_ENCODE = 2;
const CAN_FORWARD = 4;
/** Every codec. */
const ANY = '*';

/** What the gateway does with each codec. Only H.264 and AAC are encoded from live media. */
const VIDEO: Readonly<Record<string, number>> = {
  avc1: CAN_ENCODE | CAN_FORWARD,
  vp08: CAN_FORWARD,
  vp09: CAN_FORWARD,
  av01: CAN_FORWARD,
};
const AUDIO: Readonly<Record<string, number>> = { mp4a: CAN_ENCODE, Opus: CAN_FORWARD };

/** No codec is announced, as the server need not take any but H.264 and AAC. */
export const RECONNECT_ONLY: ConnectExtras = { capsEx: CAPS_EX_RECONNECT };
/** RTMP 1.0, for servers that fail on what they do not know. */
export const NO_EXTRAS: ConnectExtras = {};

/** Announces the codecs of the tracks that may be sent in one that RTMP 1.0 does not know. */
export function codecExtras({ video, audio }: { readonly video: boolean; readonly audio: boolean }): ConnectExtras {
  if (!video && !audio) return RECONNECT_ONLY;
  const maps = { ...(video && { videoFourCcInfoMap: VIDEO }), ...(audio && { audioFourCcInfoMap: AUDIO }) };
  // Servers of the first version of Enhanced RTMP know only the list.
  const fourCcList = Object.values(maps).flatMap((map) => Object.keys(map));
  return { ...RECONNECT_ONLY, ...maps, fourCcList };
}

/** Whether a server that knows only RTMP 1.0 may fail on these fields. The flags alone are known to be ignored. */
export const mayOffend = (extras: ConnectExtras): boolean => Object.keys(extras).length > 1;

/** The codecs that a server has announced. A track that it says nothing about is missing. */
export interface ServerCodecs {
  readonly video?: ReadonlySet<string>;
  readonly audio?: ReadonlySet<string>;
}

/** Whether announced codecs include one. */
export const includesCodec = (codecs: ReadonlySet<string>, name: string): boolean =>
  codecs.has(name) || codecs.has(ANY);

/** More names than there are codecs. */
const MAX_NAMES = 64;
const NAME_LENGTH = 4;
/** The names of audio codecs in the list, which has both kinds. */
const AUDIO_NAMES: ReadonlySet<string> = new Set(['mp4a', 'Opus', 'ac-3', 'ec-3', '.mp3', 'fLaC']);

/**
 * What the answer to `connect` says about codecs. A server that repeats what it was sent has announced nothing.
 *
 * @param values of the answer, without its name and transaction
 */
export function announcedCodecs(values: readonly Amf0Value[]): ServerCodecs {
  for (const value of values) {
    const fields = fieldsOf(value);
    if (!fields || 'tcUrl' in fields) continue;
    const list = listed(fields['fourCcList']);
    const video = mapped(fields['videoFourCcInfoMap']) ?? list?.video;
    const audio = mapped(fields['audioFourCcInfoMap']) ?? list?.audio;
    if (video || audio) return { ...(video && { video }), ...(audio && { audio }) };
  }
  return {};
}

function fieldsOf(value: Amf0Value | undefined): Amf0Object | undefined {
  const fields = value instanceof EcmaArray ? value.entries : value;
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields) || fields instanceof Date)
    return undefined;
  return fields as Amf0Object;
}

/** The codecs of a map that the server decodes or passes on. */
function mapped(value: Amf0Value | undefined): ReadonlySet<string> | undefined {
  const map = fieldsOf(value);
  if (!map) return undefined;
  const names = Object.entries(map)
    .slice(0, MAX_NAMES)
    .filter(([name, mask]) => isName(name) && typeof mask === 'number' && (mask & (CAN_DECODE | CAN_FORWARD)) !== 0);
  return new Set(names.map(([name]) => name));
}

/** A list says nothing about a kind of which it names no codec: that of the first version has video only. */
function listed(value: Amf0Value | undefined): ServerCodecs | undefined {
  const entries = value instanceof EcmaArray ? Object.values(value.entries) : value;
  if (!Array.isArray(entries)) return undefined;
  const names = entries.slice(0, MAX_NAMES).filter((name): name is string => typeof name === 'string' && isName(name));
  const audio = names.filter((name) => name === ANY || AUDIO_NAMES.has(name));
  const video = names.filter((name) => !AUDIO_NAMES.has(name));
  return {
    ...(video.length > 0 && { video: new Set(video) }),
    ...(audio.length > 0 && { audio: new Set(audio) }),
  };
}

const isName = (name: string): boolean => name === ANY || name.length === NAME_LENGTH;
