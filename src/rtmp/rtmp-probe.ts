import { TLSSocket } from 'node:tls';
import { escapeInvisible } from '../observe/visible-text.ts';
import { RefusalWatch } from './refusal-watch.ts';
import {
  connectApplication,
  createStream,
  DEFAULT_TIMEOUTS,
  type ConnectAnswer,
  type RtmpClientOptions,
} from './rtmp-client.ts';
import type { RtmpConnection } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';
import { createRedact } from './server-words.ts';

export type ProbeStep = 'tcp' | 'tls' | 'handshake' | 'connect' | 'createStream';

export interface ProbeStepResult {
  readonly step: ProbeStep;
  /** Milliseconds that the step took. */
  readonly ms: number;
  /** Why the step failed. No step follows. */
  readonly error?: RtmpError;
  /** Of `tls`. */
  readonly certificate?: ProbedCertificate;
}

export interface ProbedCertificate {
  readonly protocol: string;
  readonly issuer: string;
  readonly validTo: string;
}

export interface ProbeResult {
  /** Up to the first that failed. */
  readonly steps: readonly ProbeStepResult[];
  /** What the server has answered to `connect`, if it has. */
  readonly answer?: ConnectAnswer;
}

/**
 * Does what a publish does up to `createStream`, and then leaves. The server does not learn the stream name, so that
 * nothing goes live and nobody who publishes under it is disturbed.
 *
 * @throws {RtmpError} aborted, if the signal was
 */
export async function probeRtmp(options: RtmpClientOptions, signal: AbortSignal): Promise<ProbeResult> {
  const timeouts = options.timeouts ?? DEFAULT_TIMEOUTS;
  const redact = createRedact(options);
  const watch = new RefusalWatch(redact);
  // By step, in order: authentication takes several connections, of which the last one counts.
  const results = new Map<ProbeStep, ProbeStepResult>();
  let current: ProbeStep = 'tcp';
  let sinceMs = performance.now();
  const completed = (next: ProbeStep, certificate?: ProbedCertificate): void => {
    const nowMs = performance.now();
    results.set(current, { step: current, ms: nowMs - sinceMs, ...(certificate && { certificate }) });
    current = next;
    sinceMs = nowMs;
  };
  let connection: RtmpConnection | undefined;
  let answer: ConnectAnswer | undefined;
  try {
    ({ connection, answer } = await connectApplication(options, timeouts, redact, watch, signal, {
      reached: () => {
        // The connection before asked for authentication, or failed on extra fields: its steps are done again.
        if (current === 'connect') completed('tcp');
        completed(options.tls ? 'tls' : 'handshake');
      },
      opened: (socket) => {
        if (socket instanceof TLSSocket) completed('handshake', certificateOf(socket));
      },
      greeted: () => completed('connect'),
    }));
    completed('createStream');
    const streamId = await createStream(connection, timeouts, redact);
    completed('createStream');
    connection.tell(0, 'deleteStream', null, streamId);
    await connection.end();
  } catch (thrown) {
    const error = watch.explain(thrown);
    connection?.abort(new RtmpError('aborted', 'The connection attempt was cancelled'));
    if (signal.aborted || !(error instanceof RtmpError)) throw error;
    results.set(current, { step: current, ms: performance.now() - sinceMs, error });
  }
  return { steps: [...results.values()], ...(answer && { answer }) };
}

function certificateOf(socket: TLSSocket): ProbedCertificate {
  const { issuer, valid_to: validTo } = socket.getPeerCertificate();
  const name = issuer?.O ?? issuer?.CN ?? '';
  return {
    protocol: socket.getProtocol() ?? '',
    issuer: escapeInvisible(String(Array.isArray(name) ? name[0] : name).slice(0, 100)),
    validTo: validTo ?? '',
  };
}
