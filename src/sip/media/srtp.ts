import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { TAG_BYTES, type CryptoKey } from './sdes.ts';

/** SRTP and SRTCP with AES_CM_128_HMAC_SHA1 (RFC 3711), for one direction of one line. */

const MAX_STREAMS = 4;
const WINDOW = 64n;
/** The tag of SRTCP has 80 bits with both suites (RFC 4568, 6.2). */
const RTCP_TAG_BYTES = 10;
const RTCP_INDEX_BYTES = 4;

interface SessionKeys {
  readonly cipher: Buffer;
  readonly auth: Buffer;
  readonly salt: Buffer;
}

/** Packets that have come of one SSRC. */
interface Replay {
  highest: bigint;
  /** Bit 0 is the highest index. */
  seen: bigint;
}

export class SrtpContext {
  readonly #tag: number;
  readonly #rtp: SessionKeys;
  readonly #rtcp: SessionKeys;
  readonly #incoming = new Map<number, Replay>();
  readonly #incomingRtcp = new Map<number, Replay>();
  #sentIndex: bigint | undefined;
  #sentRtcp = 0;

  constructor({ suite, key }: CryptoKey) {
    const [master, salt] = [key.subarray(0, 16), key.subarray(16)];
    this.#tag = TAG_BYTES[suite];
    this.#rtp = {
      cipher: derive(master, salt, 0, 16),
      auth: derive(master, salt, 1, 20),
      salt: derive(master, salt, 2, 14),
    };
    this.#rtcp = {
      cipher: derive(master, salt, 3, 16),
      auth: derive(master, salt, 4, 20),
      salt: derive(master, salt, 5, 14),
    };
  }

  /** @returns `undefined` for a packet that is not authentic, malformed, or has come before */
  unprotectRtp(packet: Buffer): Buffer | undefined {
    const header = rtpHeaderBytes(packet);
    const end = packet.length - this.#tag;
    if (header === undefined || end < header) return undefined;
    const ssrc = packet.readUInt32BE(8);
    const sequence = BigInt(packet.readUInt16BE(2));
    const replay = this.#incoming.get(ssrc);
    const index = replay ? nearestIndex(replay.highest, sequence) : sequence;
    if (index < 0n || (replay && isReplayed(replay, index))) return undefined;
    const rollover = Buffer.alloc(4);
    rollover.writeUInt32BE(Number(index >> 16n));
    const body = packet.subarray(0, end);
    if (!isAuthentic(this.#rtp, [body, rollover], packet.subarray(end))) return undefined;
    if (!replay && this.#incoming.size >= MAX_STREAMS) this.#incoming.delete(this.#incoming.keys().next().value!);
    this.#incoming.set(ssrc, remember(replay, index));
    return Buffer.concat([
      body.subarray(0, header),
      crypt(createDecipheriv, this.#rtp, ssrc, index, body.subarray(header)),
    ]);
  }

  protectRtp(packet: Buffer): Buffer {
    const header = rtpHeaderBytes(packet)!;
    const sequence = BigInt(packet.readUInt16BE(2));
    const index = this.#sentIndex === undefined ? sequence : nearestIndex(this.#sentIndex, sequence);
    this.#sentIndex = index;
    const body = Buffer.concat([
      packet.subarray(0, header),
      crypt(createCipheriv, this.#rtp, packet.readUInt32BE(8), index, packet.subarray(header)),
    ]);
    const rollover = Buffer.alloc(4);
    rollover.writeUInt32BE(Number(index >> 16n));
    return Buffer.concat([body, tagOf(this.#rtp, [body, rollover]).subarray(0, this.#tag)]);
  }

  /** @returns as {@link unprotectRtp} */
  unprotectRtcp(packet: Buffer): Buffer | undefined {
    const end = packet.length - RTCP_TAG_BYTES;
    const at = end - RTCP_INDEX_BYTES;
    if (at < 8) return undefined;
    const word = packet.readUInt32BE(at);
    const index = BigInt(word & 0x7fffffff);
    const ssrc = packet.readUInt32BE(4);
    const replay = this.#incomingRtcp.get(ssrc);
    if (replay && isReplayed(replay, index)) return undefined;
    if (!isAuthentic(this.#rtcp, [packet.subarray(0, end)], packet.subarray(end))) return undefined;
    if (!replay && this.#incomingRtcp.size >= MAX_STREAMS)
      this.#incomingRtcp.delete(this.#incomingRtcp.keys().next().value!);
    this.#incomingRtcp.set(ssrc, remember(replay, index));
    const body = packet.subarray(8, at);
    const isEncrypted = word >>> 31 === 1;
    return Buffer.concat([
      packet.subarray(0, 8),
      isEncrypted ? crypt(createDecipheriv, this.#rtcp, ssrc, index, body) : body,
    ]);
  }

  protectRtcp(packet: Buffer): Buffer {
    this.#sentRtcp = (this.#sentRtcp + 1) & 0x7fffffff;
    const word = Buffer.alloc(RTCP_INDEX_BYTES);
    word.writeUInt32BE((this.#sentRtcp | 0x80000000) >>> 0);
    const body = Buffer.concat([
      packet.subarray(0, 8),
      crypt(createCipheriv, this.#rtcp, packet.readUInt32BE(4), BigInt(this.#sentRtcp), packet.subarray(8)),
      word,
    ]);
    return Buffer.concat([body, tagOf(this.#rtcp, [body]).subarray(0, RTCP_TAG_BYTES)]);
  }
}

/** Fixed header, CSRCs and extension; `undefined` if the packet is shorter. */
function rtpHeaderBytes(packet: Buffer): number | undefined {
  if (packet.length < 12) return undefined;
  let bytes = 12 + (packet[0]! & 15) * 4;
  if (packet[0]! & 16) {
    if (packet.length < bytes + 4) return undefined;
    bytes += 4 + packet.readUInt16BE(bytes + 2) * 4;
  }
  return bytes <= packet.length ? bytes : undefined;
}

/** The index nearest to the highest one whose low 16 bits are the sequence number (RFC 3711, 3.3.1). */
function nearestIndex(highest: bigint, sequence: bigint): bigint {
  const difference = (sequence - highest) & 0xffffn;
  return highest + (difference >= 0x8000n ? difference - 0x10000n : difference);
}

const isReplayed = ({ highest, seen }: Replay, index: bigint): boolean =>
  index <= highest && (highest - index >= WINDOW || ((seen >> (highest - index)) & 1n) === 1n);

function remember(replay: Replay | undefined, index: bigint): Replay {
  if (!replay) return { highest: index, seen: 1n };
  if (index <= replay.highest) replay.seen |= 1n << (replay.highest - index);
  else {
    const shift = index - replay.highest;
    replay.seen = shift >= WINDOW ? 1n : ((replay.seen << shift) | 1n) & ((1n << WINDOW) - 1n);
    replay.highest = index;
  }
  return replay;
}

function derive(key: Buffer, salt: Buffer, label: number, length: number): Buffer {
  const iv = Buffer.alloc(16);
  salt.copy(iv);
  iv[7]! ^= label;
  return createCipheriv('aes-128-ctr', key, iv).update(Buffer.alloc(length));
}

const tagOf = ({ auth }: SessionKeys, parts: readonly Buffer[]): Buffer => {
  const hmac = createHmac('sha1', auth);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
};

const isAuthentic = (keys: SessionKeys, parts: readonly Buffer[], tag: Buffer): boolean =>
  timingSafeEqual(tagOf(keys, parts).subarray(0, tag.length), tag);

function crypt(
  create: typeof createCipheriv | typeof createDecipheriv,
  { cipher, salt }: SessionKeys,
  ssrc: number,
  index: bigint,
  body: Buffer,
): Buffer {
  const iv = Buffer.alloc(16);
  salt.copy(iv);
  iv.writeUInt32BE((iv.readUInt32BE(4) ^ ssrc) >>> 0, 4);
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(index);
  for (let i = 0; i < 6; i++) iv[8 + i]! ^= counter[2 + i]!;
  return create('aes-128-ctr', cipher, iv).update(body);
}
