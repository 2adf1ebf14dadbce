import { randomInt } from 'node:crypto';
import type { AudioCodec } from '../../streams/live-stream.ts';
import {
  AUDIO_FORMATS,
  TELEPHONE_EVENT,
  VIDEO_FORMATS,
  type CallVideoCodec,
  type CodecFormat,
  type CodecName,
} from './codecs.ts';
import { writeSdp, type LocalLine, type RefusedLine } from './local-sdp.ts';
import { readRemoteSdp, type Direction, type RemoteLine, type RemoteSdp } from './remote-sdp.ts';
import { newCryptoKey, type CryptoKey } from './sdes.ts';

export type SrtpUse = 'off' | 'offer' | 'require';

export interface CallSdpOptions {
  /** The gateway's address as the peer sees it. */
  address: string;
  /** RTP ports of the lines that the call may have. */
  readonly ports: { readonly audio?: number | undefined; readonly video?: number | undefined };
  readonly codecs: readonly CodecName[];
  readonly srtp: SrtpUse;
  /** Whether keys may be sent: they are in the SDP. */
  readonly isPrivate: boolean;
}

/** What both sides have agreed on for one line. */
export interface AgreedLine<Name extends AudioCodec | CallVideoCodec = AudioCodec | CallVideoCodec> {
  readonly remote: RemoteLine<Name>;
  readonly codec: CodecFormat<Name>;
  /** Payload types under which the peer may send the codec. */
  readonly payloadTypes: ReadonlySet<number>;
  /** Payload types of the other codecs that were agreed on too. */
  readonly otherTypes: ReadonlySet<number>;
  /** The payload type of telephone-event; `undefined`: none. */
  readonly telephoneEvent: number | undefined;
  readonly keys: { readonly local: CryptoKey; readonly remote: CryptoKey } | undefined;
}

export interface AgreedMedia {
  readonly audio: AgreedLine<AudioCodec> | undefined;
  readonly video: AgreedLine<CallVideoCodec> | undefined;
}

/** Directions of both sides: what we answer to the peer's. */
const ANSWERS: Readonly<Record<'audio' | 'video', Readonly<Record<Direction, Direction>>>> = {
  audio: { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', inactive: 'inactive' },
  video: { sendrecv: 'recvonly', sendonly: 'recvonly', recvonly: 'inactive', inactive: 'inactive' },
};

/** The offers and answers of one call (RFC 3264). Holds the gateway's side; sockets are elsewhere. */
export class CallSdp {
  readonly #options: CallSdpOptions;
  readonly #sessionId = randomInt(1, 2 ** 31);
  #version = 0;
  #last = '';
  #keys: Partial<Record<'audio' | 'video', readonly CryptoKey[]>> = {};
  /** What the last offer of ours had, or what was agreed on. */
  #lines: (LocalLine | RefusedLine)[] = [];
  #agreed: AgreedMedia | undefined;

  constructor(options: CallSdpOptions) {
    this.#options = options;
  }

  get agreed(): AgreedMedia | undefined {
    return this.#agreed;
  }

  /** What was sent last, without keys. */
  get shown(): string {
    return this.#last.replace(/^a=crypto:.*\r\n/gm, '');
  }

  /** The address became known. */
  moveTo(address: string): void {
    this.#options.address = address;
  }

  /** The first offer. @param isShort leaves out what few peers need */
  firstOffer({ isShort }: { isShort: boolean }): string {
    const { ports, codecs, srtp, isPrivate } = this.#options;
    const usesKeys = srtp === 'require' || (srtp === 'offer' && isPrivate);
    const line = (kind: 'audio' | 'video', port: number, formats: readonly CodecFormat[]): LocalLine => {
      this.#keys[kind] = usesKeys
        ? [newCryptoKey(1, 'AES_CM_128_HMAC_SHA1_80'), newCryptoKey(2, 'AES_CM_128_HMAC_SHA1_32')]
        : [];
      return {
        kind,
        port,
        protocol: usesKeys ? 'RTP/SAVP' : 'RTP/AVP',
        direction: kind === 'audio' ? 'sendrecv' : 'recvonly',
        codecs: formats,
        telephoneEvents: kind === 'audio' && codecs.includes('telephone-event') ? eventsFor(formats) : new Map(),
        keys: this.#keys[kind]!,
      };
    };
    const audio = codecs.flatMap((name) => AUDIO_FORMATS[name] ?? []);
    const video = codecs.flatMap((name) => VIDEO_FORMATS[name] ?? []);
    // H.264 first: it needs no encoder.
    const shortVideo = [...video.filter(({ mode }) => mode === 1), ...video.filter(({ name }) => name === 'vp8')];
    this.#lines = [
      ...(ports.audio !== undefined && audio.length > 0 ? [line('audio', ports.audio, audio)] : []),
      ...(ports.video !== undefined && video.length > 0
        ? [line('video', ports.video, isShort ? shortVideo : video)]
        : []),
    ];
    return this.#write();
  }

  /** The media as it is now. */
  offer(): string {
    return this.#agreed ? this.#write() : this.firstOffer({ isShort: false });
  }

  /** An offer with the agreed codecs alone, for peers that send several. */
  restrict(): void {
    if (this.#agreed) this.#lines = this.#lines.map((line) => ('kind' in line ? this.#single(line) : line));
  }

  /** @returns what the answer agrees to; `undefined` if that is nothing */
  accept(answer: string): AgreedMedia | undefined {
    const remote = readRemoteSdp(answer);
    if (!remote) return undefined;
    const offered = (kind: 'audio' | 'video'): LocalLine | undefined =>
      this.#lines.find((line): line is LocalLine => 'kind' in line && line.kind === kind);
    return this.#settle({
      audio: agree(remote.audio, offered('audio'), this.#agreed?.audio),
      video: agree(remote.video, offered('video'), this.#agreed?.video),
    });
  }

  /** @returns the answer and what is agreed on; `undefined` if nothing can be used */
  answer(offer: string): { readonly sdp: string; readonly agreed: AgreedMedia } | undefined {
    const remote = readRemoteSdp(offer);
    if (!remote) return undefined;
    const audioLine = this.#answerLine('audio', remote.audio);
    const videoLine = this.#answerLine('video', remote.video);
    const agreed: AgreedMedia = {
      audio: agree(remote.audio, audioLine, this.#agreed?.audio),
      video: agree(remote.video, videoLine, this.#agreed?.video),
    };
    if (!this.#fits(agreed)) return undefined;
    this.#lines = remote.sections.map((section, index) => {
      if (agreed.audio?.remote.index === index) return this.#single(audioLine!, agreed.audio);
      if (agreed.video?.remote.index === index) return this.#single(videoLine!, agreed.video);
      return section;
    });
    this.#agreed = agreed;
    return { sdp: this.#write(), agreed };
  }

  /** Something must be left, and a track that is running must keep its codec. */
  #fits({ audio, video }: AgreedMedia): boolean {
    const before = this.#agreed;
    if (!audio && !video) return false;
    return (
      (!before?.audio || !audio || before.audio.codec.name === audio.codec.name) &&
      (!before?.video || !video || before.video.codec.name === video.codec.name)
    );
  }

  #settle(agreed: AgreedMedia): AgreedMedia | undefined {
    if (!this.#fits(agreed)) return undefined;
    this.#agreed = agreed;
    return agreed;
  }

  /** Everything that we could take of an offered line. */
  #answerLine(kind: 'audio' | 'video', remote: RemoteSdp['audio'] | RemoteSdp['video']): LocalLine | undefined {
    const { ports, codecs, srtp } = this.#options;
    const port = ports[kind];
    if (!remote || port === undefined) return undefined;
    const isSecure = remote.protocol.startsWith('RTP/SAVP');
    if (isSecure ? srtp === 'off' || remote.keys.length === 0 : srtp === 'require') return undefined;
    const known = new Set<string>(
      codecs.flatMap((name) =>
        kind === 'audio' ? (AUDIO_FORMATS[name]?.name ?? []) : (VIDEO_FORMATS[name]?.[0]?.name ?? []),
      ),
    );
    const offered = (remote.codecs as readonly CodecFormat[]).filter(({ name }) => known.has(name));
    if (offered.length === 0) return undefined;
    const [remoteKey] = remote.keys;
    // New keys with each offer: a peer that changes its own expects it.
    this.#keys[kind] = isSecure ? [newCryptoKey(remoteKey!.tag, remoteKey!.suite)] : [];
    return {
      kind,
      port,
      protocol: remote.protocol,
      direction: ANSWERS[kind][remote.direction],
      codecs: offered,
      telephoneEvents: codecs.includes('telephone-event') ? remote.telephoneEvents : new Map(),
      keys: this.#keys[kind]!,
    };
  }

  /** The line with the agreed codec alone. */
  #single(line: LocalLine, agreed: AgreedLine | undefined = this.#agreed?.[line.kind]): LocalLine {
    if (!agreed) return line;
    const { codec, telephoneEvent } = agreed;
    const events = new Map(telephoneEvent === undefined ? [] : [[eventRate(codec), telephoneEvent]]);
    return { ...line, codecs: [codec], telephoneEvents: events };
  }

  #write(): string {
    const { address } = this.#options;
    const text = (version: number): string =>
      writeSdp({ address, sessionId: this.#sessionId, version, lines: this.#lines });
    // The version rises with each change (RFC 3264, 8).
    if (text(this.#version) !== this.#last) this.#last = text(++this.#version);
    return this.#last;
  }
}

const eventRate = ({ clockRate }: CodecFormat): number => clockRate;

/** One payload type of telephone-event for each clock rate of the codecs. */
function eventsFor(formats: readonly CodecFormat[]): Map<number, number> {
  const rates = new Set(formats.map(eventRate)) as Set<keyof typeof TELEPHONE_EVENT>;
  return new Map([...rates].map((rate) => [rate, TELEPHONE_EVENT[rate]]));
}

/** What both lines have: the codec that runs, else the first one of the peer. */
function agree<Name extends AudioCodec | CallVideoCodec>(
  remote: RemoteLine<Name> | undefined,
  local: LocalLine | undefined,
  before: AgreedLine<Name> | undefined,
): AgreedLine<Name> | undefined {
  if (!remote || !local) return undefined;
  const common = remote.codecs.filter(({ name }) => local.codecs.some((codec) => codec.name === name));
  const codec = common.find(({ name }) => name === before?.codec.name) ?? common[0];
  if (!codec) return undefined;
  const isSecure = remote.protocol.startsWith('RTP/SAVP');
  const keys = isSecure ? matchKeys(remote.keys, local.keys) : undefined;
  if (isSecure !== local.protocol.startsWith('RTP/SAVP') || (isSecure && !keys)) return undefined;
  const typesOf = (name: string): number[] =>
    [...remote.codecs, ...local.codecs].filter((one) => one.name === name).map(({ payloadType }) => payloadType);
  const payloadTypes = new Set(typesOf(codec.name));
  const otherTypes = new Set(common.flatMap(({ name }) => typesOf(name)).filter((type) => !payloadTypes.has(type)));
  const telephoneEvent = local.telephoneEvents.size > 0 ? remote.telephoneEvents.get(eventRate(codec)) : undefined;
  return { remote, codec, payloadTypes, otherTypes, telephoneEvent, keys };
}

/** The keys of both sides with the same tag and suite. */
function matchKeys(remote: readonly CryptoKey[], local: readonly CryptoKey[]): AgreedLine['keys'] {
  for (const theirs of remote) {
    const ours = local.find(({ tag, suite }) => tag === theirs.tag && suite === theirs.suite);
    if (ours) return { local: ours, remote: theirs };
  }
  return undefined;
}
