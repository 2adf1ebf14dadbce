import { randomFillSync } from 'node:crypto';
import { RtmpError } from './rtmp-error.ts';

/** RTMP 1.0, 5.2: C0 and S0 are the version, C1/S1 and C2/S2 are 1536 bytes each. */
const VERSION = 3;
const PACKET_SIZE = 1536;
const SERVER_SIZE = 1 + 2 * PACKET_SIZE;

/**
 * C0 and C1 of the simple handshake: time 0, four zeros (which select the simple handshake on servers that also support
 * digests), and random bytes.
 */
export function createC0C1(): Buffer {
  const bytes = Buffer.alloc(1 + PACKET_SIZE);
  bytes[0] = VERSION;
  randomFillSync(bytes, 9);
  return bytes;
}

/** Reads the server's half of the handshake, in pieces of any size. */
export class HandshakeReader {
  readonly #bytes = Buffer.allocUnsafe(SERVER_SIZE);
  #length = 0;
  #c2Taken = false;

  /** Whether S0, S1 and S2 are complete. */
  get complete(): boolean {
    return this.#length === SERVER_SIZE;
  }

  /**
   * Returns the bytes after the handshake. S2 is not compared with C1, because many servers answer with something else.
   *
   * @throws {RtmpError} protocol, as soon as the first byte belongs to another protocol
   */
  push(data: Buffer): Buffer {
    const taken = data.copy(this.#bytes, this.#length);
    this.#length += taken;
    if (this.#length > 0 && this.#bytes[0] !== VERSION)
      throw new RtmpError('protocol', 'The server does not speak RTMP');
    return data.subarray(taken);
  }

  /** C2, which repeats S1, as soon as S1 is complete: a server may hold back S2 until it has C2. Returned only once. */
  takeC2(): Buffer | undefined {
    if (this.#c2Taken || this.#length < 1 + PACKET_SIZE) return undefined;
    this.#c2Taken = true;
    return this.#bytes.subarray(1, 1 + PACKET_SIZE);
  }
}
