import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { refusalOf, statusOf } from '../../src/rtmp/refusals.ts';
import { RtmpConnection } from '../../src/rtmp/rtmp-connection.ts';
import { RtmpError } from '../../src/rtmp/rtmp-error.ts';
import { createRedact } from '../../src/rtmp/server-words.ts';

/** S0, S1 and S2, which a server sends before its first message. */
export const HANDSHAKE_SIZE = 3073;
/** Timeout of each answer in milliseconds; all bytes are available, so it can be short. */
const PATIENCE = 20;

const redact = createRedact({ app: 'live', streamName: 'stream' });

/** `corpus/*.bin`: everything that real servers sent, from the first byte. */
export function readCorpus(): Map<string, Buffer> {
  const folder = join(import.meta.dirname, 'corpus');
  const names = readdirSync(folder).filter((name) => name.endsWith('.bin'));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
}

/**
 * Connects a client to a server that sends `bytes` in pieces of `size`.
 * @returns why the client gave up, if it did. Rejects with anything that is not an {@link RtmpError}, which is a finding.
 */
export async function meet(bytes: Buffer, size: number): Promise<RtmpError | undefined> {
  const [ours, theirs] = duplexPair();
  theirs.on('error', () => {}).resume();
  const say = (from: number, to: number): void => {
    for (let at = from; at < to; at += size) theirs.write(bytes.subarray(at, Math.min(to, at + size)));
  };
  // Answers only count after their requests, which follow the handshake.
  say(0, HANDSHAKE_SIZE);
  let lost: RtmpError | undefined;
  try {
    const connection = await RtmpConnection.open(ours, PATIENCE, new AbortController().signal);
    connection.on('lost', (error) => (lost = error));
    connection.on('command', ({ values }) => void refusalOf('anything', statusOf(values), redact));
    connection.setUp(4096);
    // In the client's order, so that the transaction numbers match the answers in the corpus.
    const calls = [connection.call(PATIENCE, 0, 'connect', [{}])];
    for (const command of ['releaseStream', 'FCPublish']) connection.tell(0, command, null, 'stream');
    calls.push(connection.call(PATIENCE, 0, 'createStream', [null]));
    say(HANDSHAKE_SIZE, bytes.length);
    for (const result of await Promise.allSettled(calls)) if (result.status === 'rejected') throw result.reason;
    connection.abort(new RtmpError('aborted', 'The end'));
    return lost;
  } catch (error) {
    if (error instanceof RtmpError) return error;
    throw error;
  } finally {
    ours.destroy();
    theirs.destroy();
  }
}
