import { randomFillSync } from 'node:crypto';
import { RtmpError } from './rtmp-error.ts';

/** RTMP 1.0, 5.2: C0 and S0 are the version, C1/S1 and C2/S2 are 1536 bytes each. */
const VERSION = 3;
const PACKET_SIZE = 1536;
const SERVER_SIZE = 1 + 2 * PACKET_SIZE;

/** C0 and C1 of the simple handshake: time 0, four zeros (which say "simple" to servers that know a digest too), and random bytes. */
export function createC0C1(): Buffer {
  const bytes = Buffer.alloc(1 + PACKET_SIZE);
  bytes[0] = VERSION;
  randomFillSync(bytes, 9);
  return bytes;
}

/** Takes the server's half of the handshake in pieces of any size. */
export class HandshakeReader {
  readonly #bytes = Buffer.allocUnsafe(SERVER_SIZE);
  #length = 0;
  #c2Taken = false;

  /** S0, S1 and S2 are complete. */
  get complete(): boolean {
    return this.#length === SERVER_SIZE;
  }

  /**
   * Returns what is not part of the handshake any more. S2 is not compared with C1: servers of all kinds answer with something else.
   * @throws {RtmpError} protocol, as soon as the first byte is that of another protocol.
   */
  push(data: Buffer): Buffer {
    const taken = data.copy(this.#bytes, this.#length);
    this.#length += taken;
    if (this.#length > 0 && this.#bytes[0] !== VERSION)
      throw new RtmpError('protocol', 'The server does not speak RTMP');
    return data.subarray(taken);
  }

  /** C2, which repeats S1, once S1 is there: before S2, which a server may hold back until it has C2. Only the first time. */
  takeC2(): Buffer | undefined {
    if (this.#c2Taken || this.#length < 1 + PACKET_SIZE) return undefined;
    this.#c2Taken = true;
    return this.#bytes.subarray(1, 1 + PACKET_SIZE);
  }
}
