import { BadMessage } from '../message/bad-message.ts';
import type { SipMessage } from '../message/message.ts';
import { contentLength, MESSAGE_LIMITS, parseHead } from '../message/parse-message.ts';

const END_OF_HEAD = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;

/** Cuts the bytes of a TCP connection into messages (RFC 3261, 18.3). Holds one message at most. */
export class MessageReader {
  #pieces: Buffer[] = [];
  #size = 0;
  /** The head of the message that is being received, and its bytes with the body. */
  #begun: { readonly message: SipMessage; readonly head: number; readonly whole: number } | undefined;

  /** Whether a part of a message has come. */
  get isWaiting(): boolean {
    return this.#size > 0;
  }

  /**
   * The messages that `chunk` completes.
   *
   * @throws {BadMessage} nothing can be read after it
   */
  push(chunk: Buffer): SipMessage[] {
    this.#pieces.push(chunk);
    this.#size += chunk.length;
    if (this.#begun && this.#size < this.#begun.whole) return [];
    let bytes: Buffer = Buffer.concat(this.#pieces);
    const messages: SipMessage[] = [];
    for (;;) {
      if (!this.#begun) {
        bytes = withoutLines(bytes);
        this.#begun = begin(bytes);
      }
      if (!this.#begun || bytes.length < this.#begun.whole) break;
      const { message, head, whole } = this.#begun;
      message.body = Buffer.from(bytes.subarray(head, whole));
      messages.push(message);
      bytes = bytes.subarray(whole);
      this.#begun = undefined;
    }
    this.#pieces = bytes.length > 0 ? [Buffer.from(bytes)] : [];
    this.#size = bytes.length;
    return messages;
  }
}

function begin(bytes: Buffer): { message: SipMessage; head: number; whole: number } | undefined {
  const end = bytes.subarray(0, MESSAGE_LIMITS.message).indexOf(END_OF_HEAD);
  if (end < 0) {
    if (bytes.length >= MESSAGE_LIMITS.message) throw new BadMessage('the headers are too long');
    return undefined;
  }
  const message = parseHead(bytes.toString('utf8', 0, end));
  const head = end + END_OF_HEAD.length;
  const whole = head + (contentLength(message) ?? 0);
  if (whole > MESSAGE_LIMITS.message) throw new BadMessage('the message is too long');
  return { message, head, whole };
}

/** Empty lines between messages keep a connection alive (RFC 5626, 3.5.1). */
function withoutLines(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length && (bytes[start] === CR || bytes[start] === LF)) start++;
  return bytes.subarray(start);
}
