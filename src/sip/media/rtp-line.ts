import type { RemoteInfo } from 'node:dgram';
import { EventEmitter } from 'node:events';
import type { Logger } from '../../observe/logger.ts';
import { guarded } from '../../runtime/in-background.ts';
import type { AgreedLine } from './call-sdp.ts';
import { DtmfReader } from './dtmf.ts';
import type { PortPair } from './port-pool.ts';
import { ReceiverStats } from './receiver-stats.ts';
import {
  isRtcp,
  readSenderReport,
  splitRtcp,
  writeReceiverReport,
  writeSenderReport,
  writeSourceDescription,
  type SenderReportInfo,
} from './rtcp.ts';
import { RtpRewriter } from './rtp-rewriter.ts';
import { SourceLock, type Source } from './source-lock.ts';
import { SrtpContext } from './srtp.ts';

/** Takes the media of a line. */
export interface RtpSink {
  readonly ssrc: number;
  readonly payloadType: number;
  rtp(packet: Buffer): void;
  rtcp(packet: Buffer): void;
}

export interface RtpLineEvents {
  /** The first packet of the peer was taken. */
  first: [];
  /** The peer sends another agreed codec than the one that is used. */
  otherCodec: [];
  digit: [digit: string];
}

export interface RtpLineOptions {
  readonly kind: 'audio' | 'video';
  readonly pair: PortPair;
  /** Where the signalling comes from: media behind NAT comes from there too. */
  readonly signalling: () => string;
  /** Whether media may be sent to an address that the peer has named. */
  readonly permits: (address: string) => boolean;
  readonly now: () => number;
  readonly logger: Logger;
}

export interface LineCounts {
  received: number;
  bytes: number;
  sent: number;
  /** From other sources, of unknown types, malformed, or not authentic. */
  dropped: number;
}

/** Comfort noise: the gateway fills gaps by itself. */
const COMFORT_NOISE = 13;
/** Packets before there is a sink, and how old they may be: the first key frame is among them. */
const MAX_EARLY = 500;
const MAX_EARLY_BYTES = 512 * 1024;
const MAX_EARLY_MS = 2000;
/** Milliseconds for which media is sent to a peer that sends none: the gateway must not be a reflector. */
const MAX_UNANSWERED_MS = 10_000;
/** Packets and milliseconds of another codec that show that the peer stays with it. */
const OTHER_PACKETS = 10;
const OTHER_MS = 200;

/** One line of media of a call: its two sockets, and everything between them and the sink. */
export class RtpLine extends EventEmitter<RtpLineEvents> {
  readonly counts: LineCounts = { received: 0, bytes: 0, sent: 0, dropped: 0 };
  readonly #options: RtpLineOptions;
  readonly #lock = new SourceLock([]);
  readonly #digits = new DtmfReader();
  #early: { readonly data: Buffer; readonly from: Source; readonly atMs: number }[] = [];
  #earlyBytes = 0;
  #agreed: AgreedLine | undefined;
  #srtp: { readonly incoming: SrtpContext; readonly outgoing: SrtpContext } | undefined;
  #sink: RtpSink | undefined;
  #rewriter: RtpRewriter | undefined;
  #stats: ReceiverStats | undefined;
  /** Where the peer has said that it receives, and since when nothing has come from it. */
  #announced: Source | undefined;
  #unansweredMs: number | undefined;
  #rtcpSource: Source | undefined;
  #lastPacketMs: number | undefined;
  #other: { count: number; readonly sinceMs: number } | undefined;
  #closed = false;

  constructor(options: RtpLineOptions) {
    super();
    this.#options = options;
    const survive = (error: unknown): void => options.logger.error({ err: error }, 'a packet of a call failed');
    const { rtp, rtcp } = options.pair;
    rtp.on(
      'message',
      guarded(survive, (data: Buffer, from: RemoteInfo) => this.#takeRtp(data, from)),
    );
    rtcp.on(
      'message',
      guarded(survive, (data: Buffer, from: RemoteInfo) => this.#takeRtcp(data, from)),
    );
  }

  get kind(): 'audio' | 'video' {
    return this.#options.kind;
  }

  get port(): number {
    return this.#options.pair.port;
  }

  get agreed(): AgreedLine | undefined {
    return this.#agreed;
  }

  /** The SSRC of the peer, once it has sent something. */
  get remoteSsrc(): number | undefined {
    return this.#rewriter?.remoteSsrc;
  }

  /** Milliseconds of `now` at the last packet of the peer. */
  get lastPacketMs(): number | undefined {
    return this.#lastPacketMs;
  }

  /** An offer and its answer were exchanged. `undefined`: the line is not used any more. */
  agree(agreed: AgreedLine | undefined): void {
    const before = this.#agreed;
    this.#agreed = agreed;
    if (!agreed) return;
    const { address, port } = agreed.remote;
    const isHeld = address === '0.0.0.0';
    const hasMoved =
      !isHeld &&
      this.#announced !== undefined &&
      (this.#announced.address !== address || this.#announced.port !== port);
    if (!isHeld && (hasMoved || !this.#announced)) {
      this.#announced = { address, port };
      this.#unansweredMs = this.#options.now();
      this.#rtcpSource = undefined;
    }
    this.#lock.expect([...(isHeld ? [] : [address]), this.#options.signalling()], hasMoved);
    const { keys } = agreed;
    const areNew = keys && !(before?.keys && sameKeys(before.keys, keys));
    if (!keys) this.#srtp = undefined;
    else if (areNew) this.#srtp = { incoming: new SrtpContext(keys.remote), outgoing: new SrtpContext(keys.local) };
    this.#other = undefined;
  }

  /** Media flows from now on, beginning with what has come already. */
  attach(sink: RtpSink): void {
    const agreed = this.#agreed;
    if (!agreed || this.#closed) return;
    this.#sink = sink;
    const { clockRate } = agreed.codec;
    this.#rewriter = new RtpRewriter({ ssrc: sink.ssrc, payloadType: sink.payloadType, clockRate });
    this.#stats = new ReceiverStats(clockRate);
    const nowMs = this.#options.now();
    const early = this.#early.filter(({ atMs }) => nowMs - atMs <= MAX_EARLY_MS);
    this.#early = [];
    for (const { data, from } of early) this.#takeRtp(data, from);
  }

  /** Sends a packet of ours, if there is a place where it may go. */
  send(packet: Buffer): void {
    const to = this.#destination();
    if (!to) return;
    this.counts.sent++;
    const data = this.#srtp ? this.#srtp.outgoing.protectRtp(packet) : packet;
    this.#options.pair.rtp.send(data, to.port, to.address, () => undefined);
  }

  /** Sends a receiver report, and what follows it in the same packet. @param ssrc ours */
  report(ssrc: number, ...feedback: readonly Buffer[]): void {
    const to = this.#rtcpDestination();
    if (!to) return;
    const block = this.#stats?.block(this.#options.now());
    const packet = Buffer.concat([
      writeReceiverReport(ssrc, block),
      writeSourceDescription(ssrc, `gateway-${ssrc.toString(16)}`),
      ...feedback,
    ]);
    const data = this.#srtp ? this.#srtp.outgoing.protectRtcp(packet) : packet;
    this.#options.pair.rtcp.send(data, to.port, to.address, () => undefined);
  }

  /** Idempotent. The ports stay bound for a while. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = undefined;
    this.#early = [];
    this.#options.pair.release();
  }

  #takeRtp(data: Buffer, from: Source): void {
    if (this.#closed) return;
    if (data.length < 12 || data[0]! >> 6 !== 2) return void this.counts.dropped++;
    if (!this.#sink || !this.#agreed) return this.#keep(data, from);
    // Both on one port.
    if (isRtcp(data)) return this.#takeRtcp(data, from);
    const type = data[1]! & 0x7f;
    const { payloadTypes, otherTypes, telephoneEvent } = this.#agreed;
    const isKnown = payloadTypes.has(type) || otherTypes.has(type) || type === telephoneEvent || type === COMFORT_NOISE;
    const packet = isKnown ? (this.#srtp ? this.#srtp.incoming.unprotectRtp(data) : data) : undefined;
    const nowMs = this.#options.now();
    if (!packet || !this.#lock.takes(from, nowMs)) return void this.counts.dropped++;
    this.counts.received++;
    this.counts.bytes += packet.length;
    this.#unansweredMs = undefined;
    const isFirst = this.#lastPacketMs === undefined;
    this.#lastPacketMs = nowMs;
    if (payloadTypes.has(type)) this.#deliver(packet, nowMs);
    else if (type === telephoneEvent) this.#readDigit(packet);
    else if (otherTypes.has(type)) this.#countOther(nowMs);
    if (isFirst) this.emit('first');
  }

  #deliver(packet: Buffer, nowMs: number): void {
    const [ssrc, sequence, timestamp] = [packet.readUInt32BE(8), packet.readUInt16BE(2), packet.readUInt32BE(4)];
    this.#stats!.packet(ssrc, sequence, timestamp, nowMs);
    if (this.#rewriter!.rewrite(packet, nowMs)) this.#sink!.rtp(packet);
    else this.counts.dropped++;
  }

  #readDigit(packet: Buffer): void {
    const start = 12 + (packet[0]! & 15) * 4;
    if (packet.length < start + 4) return;
    const digit = this.#digits.read(packet.subarray(start), packet.readUInt32BE(4));
    if (digit !== undefined) this.emit('digit', digit);
  }

  #countOther(nowMs: number): void {
    this.counts.dropped++;
    this.#other ??= { count: 0, sinceMs: nowMs };
    const { sinceMs } = this.#other;
    if (++this.#other.count < OTHER_PACKETS || nowMs - sinceMs < OTHER_MS) return;
    this.#other = undefined;
    this.emit('otherCodec');
  }

  #takeRtcp(data: Buffer, from: Source): void {
    if (this.#closed || !this.#sink || data.length < 8 || from.address !== this.#lock.source?.address) return;
    const packet = this.#srtp ? this.#srtp.incoming.unprotectRtcp(data) : data;
    if (!packet) return void this.counts.dropped++;
    this.#rtcpSource = { address: from.address, port: from.port };
    for (const part of splitRtcp(packet)) {
      const report = readSenderReport(part);
      if (report) this.#takeReport(report);
    }
  }

  #takeReport(report: SenderReportInfo): void {
    const rtpTimestamp = this.#rewriter!.timestampOf(report.ssrc, report.rtpTimestamp);
    if (rtpTimestamp === undefined) return;
    this.#stats!.senderReport(report.ntpSeconds, report.ntpFraction, this.#options.now());
    this.#sink!.rtcp(writeSenderReport({ ...report, ssrc: this.#sink!.ssrc, rtpTimestamp }));
  }

  #keep(data: Buffer, { address, port }: Source): void {
    const nowMs = this.#options.now();
    while (this.#early.length > 0 && nowMs - this.#early[0]!.atMs > MAX_EARLY_MS)
      this.#earlyBytes -= this.#early.shift()!.data.length;
    if (this.#early.length >= MAX_EARLY || this.#earlyBytes + data.length > MAX_EARLY_BYTES)
      return void this.counts.dropped++;
    this.#earlyBytes += data.length;
    this.#early.push({ data: Buffer.from(data), from: { address, port }, atMs: nowMs });
  }

  /** The source of the peer's packets; before there are some, where its SDP says, or its signalling comes from. */
  #destination(): Source | undefined {
    const agreed = this.#agreed;
    if (!agreed || !this.#announced || this.#closed) return undefined;
    if (agreed.remote.direction === 'inactive' || agreed.remote.direction === 'sendonly') return undefined;
    if (this.#lock.source) return this.#lock.source;
    if (this.#unansweredMs !== undefined && this.#options.now() - this.#unansweredMs > MAX_UNANSWERED_MS)
      return undefined;
    const { address, port } = this.#announced;
    return { address: this.#options.permits(address) ? address : this.#options.signalling(), port };
  }

  #rtcpDestination(): Source | undefined {
    if (this.#rtcpSource) return this.#closed ? undefined : this.#rtcpSource;
    // Only to a peer that sends: a report says what has come from it.
    const source = this.#lock.source;
    if (!source || !this.#agreed || this.#closed) return undefined;
    const isMoved = source.address !== this.#announced?.address || source.port !== this.#announced.port;
    return {
      address: source.address,
      port: isMoved ? Math.min(source.port + 1, 65_535) : this.#agreed.remote.rtcpPort,
    };
  }
}

const sameKeys = (one: NonNullable<AgreedLine['keys']>, other: NonNullable<AgreedLine['keys']>): boolean =>
  one.local.key.equals(other.local.key) && one.remote.key.equals(other.remote.key);
