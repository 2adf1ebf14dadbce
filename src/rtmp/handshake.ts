import { randomFillSync } from 'node:crypto';
import { RtmpError, type RtmpPeer } from './rtmp-error.ts';

/** RTMP 1.0, 5.2: C0 and S0 are the version, C1/S1 and C2/S2 are 1536 bytes each. */
const VERSION = 3;
const PACKET_SIZE = 1536;
/** Of each side. */
const HANDSHAKE_SIZE = 1 + 2 * PACKET_SIZE;

/**
 * C0 and C1, or S0 and S1, of the simple handshake: time 0, four zeros (which select the simple handshake on servers that also support
 * digests), and random bytes.
 */
export function createHello(): Buffer {
  const bytes = Buffer.alloc(1 + PACKET_SIZE);
  bytes[0] = VERSION;
  randomFillSync(bytes, 9);
  return bytes;
}

/** Reads the other side's half of the handshake, in pieces of any size. */
export class HandshakeReader {
  readonly #bytes = Buffer.allocUnsafe(HANDSHAKE_SIZE);
  readonly #peer: RtmpPeer;
  #length = 0;
  #echoTaken = false;

  /** @param peer who sends, for error messages */
  constructor(peer: RtmpPeer = 'server') {
    this.#peer = peer;
  }

  /** Whether S0, S1 and S2, or C0, C1 and C2, are complete. */
  get complete(): boolean {
    return this.#length === HANDSHAKE_SIZE;
  }

  /**
   * Returns the bytes after the handshake. S2 and C2 are not compared with what they should repeat, because many
   * answer with something else.
   *
   * @throws {RtmpError} protocol, as soon as the first byte belongs to another protocol
   */
  push(data: Buffer): Buffer {
    const taken = data.copy(this.#bytes, this.#length);
    this.#length += taken;
    if (this.#length > 0 && this.#bytes[0] !== VERSION)
      throw new RtmpError('protocol', `The ${this.#peer} does not speak RTMP`);
    return data.subarray(taken);
  }

  /**
   * C2, which repeats S1, or S2, which repeats C1, as soon as that is complete: a server may hold back S2 until it has
   * C2. Returned only once.
   */
  takeEcho(): Buffer | undefined {
    if (this.#echoTaken || this.#length < 1 + PACKET_SIZE) return undefined;
    this.#echoTaken = true;
    return this.#bytes.subarray(1, 1 + PACKET_SIZE);
  }
}
