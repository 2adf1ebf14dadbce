import { EventEmitter } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { MAX_PRESET_LINE, pushFlv, rtmpPreset } from '../../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../../ffmpeg/ffmpeg-process.ts';
import { FfmpegProgressReader } from '../../ffmpeg/ffmpeg-progress.ts';
import { TAG_SCRIPT } from '../../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../../media/containers/flv-writer.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Logger } from '../../observe/logger.ts';
import { createRedact } from '../../rtmp/server-words.ts';
import type { Pusher, PusherEvents, PusherFactory, PushTarget } from './pusher.ts';
import { skipsVerification, trustedAuthorities, type TlsTrust } from '../../net/tls-trust.ts';

export interface FfmpegPusherOptions extends TlsTrust {
  /** Milliseconds; unset: {@link DEFAULT_CONNECT_TIMEOUTS}. */
  readonly connectTimeouts?: ConnectTimeouts;
  /** `rtmp_transponder_send_metadata`; ffmpeg writes metadata of its own. Default: true. */
  readonly sendMetadata?: boolean;
  readonly logger: Logger;
}

/** How long it may take until the destination has accepted the publish, in milliseconds. */
export interface ConnectTimeouts {
  /** For each answer of the destination; enforced by ffmpeg. */
  readonly step: number;
  /**
   * For all answers together, including the start of ffmpeg, so that a server that sends byte by byte gains no time.
   */
  readonly whole: number;
}

/** The limits of the gateway's own client. TCP has 5 s, which cannot be changed in ffmpeg for RTMP. */
const DEFAULT_CONNECT_TIMEOUTS: ConnectTimeouts = { step: 10_000, whole: 30_000 };

/**
 * Bytes waiting for ffmpeg above which it does not keep up. More than one key frame of 4K, so that a single tag never
 * counts as congestion.
 */
const FULL_BYTES = 1024 * 1024;
/**
 * The header, metadata and sequence headers that ffmpeg writes are shorter than this. Only more than this is progress.
 */
const HEADER_BYTES = 512;
/** Interval of ffmpeg's progress reports, in milliseconds. */
const REPORT_INTERVAL = 500;
/** How long a closing connection may take to send what has been written, in milliseconds. */
const CLOSE_GRACE_MS = 1000;
/** Number of checks, with at least one progress report each, before a timeout expires. */
const CHECKS = 4;

/**
 * One connection through `ffmpeg -c copy`, with a process of its own: proven with many servers. Reasons for refusals
 * are known from its log only, and it can neither bind a local address nor authenticate; the gateway's own RTMP client
 * can.
 */
class FfmpegPusher extends EventEmitter<PusherEvents> implements Pusher {
  /** ffmpeg maps the tracks that it finds at the beginning. */
  readonly keepsTracks = true;
  readonly #target: PushTarget;
  readonly #options: FfmpegPusherOptions;
  readonly #authorities: readonly string[];
  readonly #connectTimeouts: ConnectTimeouts;
  readonly #reportIntervalMs: number;
  readonly #progress = new FfmpegProgressReader();
  #process: FfmpegProcess | undefined;
  #directory: string | undefined;
  #opening: Promise<void>;
  /** Runs while something is expected of the destination: to accept the publish, and then to take what was written. */
  #watching: NodeJS.Timeout | undefined;
  /** The destination has accepted the publish. */
  #connected = false;
  #lastWriteMs = 0;
  #taken = 0;
  #over = false;

  constructor(target: PushTarget, options: FfmpegPusherOptions, authorities: readonly string[]) {
    super();
    this.#target = target;
    this.#options = options;
    this.#authorities = authorities;
    this.#connectTimeouts = options.connectTimeouts ?? DEFAULT_CONNECT_TIMEOUTS;
    this.#reportIntervalMs = Math.min(REPORT_INTERVAL, target.stallTimeoutMs / CHECKS);
    this.#opening = this.#open().catch((error: unknown) => this.#die(toGatewayError(error, 'PUSHER_FAILED')));
  }

  get writable(): boolean {
    return this.backlog < FULL_BYTES;
  }

  get backlog(): number {
    return this.#process?.backlog ?? 0;
  }

  write({ tags }: TagGroup): void {
    if (!this.#process || this.#over) return;
    // ffmpeg writes metadata of its own, and a second one confuses some servers.
    const media = tags.filter((tag) => tag.type !== TAG_SCRIPT);
    if (media.length === 0) return;
    this.#process.write(
      ...media.flatMap((tag) => {
        const { head, tail } = flvTagParts(tag);
        return [head, tag.data, tail];
      }),
    );
    this.#lastWriteMs = performance.now();
    // Not earlier: ffmpeg connects after it has read the beginning of the stream, and the first key frame may take a
    // while.
    if (!this.#watching) this.#watch();
  }

  async close(): Promise<void> {
    const graceMs = this.#connected && !this.#over ? CLOSE_GRACE_MS : 0;
    this.#over = true;
    this.#stopWatching();
    await this.#opening;
    await this.#process?.close(graceMs);
    await this.#removeFiles();
  }

  async #open(): Promise<void> {
    const { destination, addresses, flashVersion, resumes, stallTimeoutMs } = this.#target;
    if (destination.user)
      throw new GatewayError(
        'DESTINATION_AUTHENTICATION',
        'A user and password in the rtmpUrl need push_engine=rtmp: ffmpeg would show them in its arguments.',
      );
    const presetFile = await this.#writePrivately('push.ffpreset', this.#preset(flashVersion));
    // Only the first: a retry after a failure begins with the next address.
    const address = addresses[0]!;
    const host = isIPv6(address) ? `[${address}]` : address;
    const line = pushFlv({
      server: `${destination.scheme}://${host}:${destination.port}/`,
      presetFile,
      // ffmpeg has one timeout for connecting and writing. `#watch` is stricter about writing.
      timeoutMs: Math.max(this.#connectTimeouts.step, stallTimeoutMs),
      reportIntervalMs: this.#reportIntervalMs,
      sendMetadata: this.#options.sendMetadata,
      ...(destination.scheme === 'rtmps' && {
        tls: {
          host: destination.host,
          insecure: skipsVerification(destination, this.#options),
          caFile: await this.#writePrivately('authorities.pem', this.#authorities.join('\n')),
        },
      }),
    });
    const process = await FfmpegProcess.start(
      line,
      'pusher',
      this.#target.logger ?? this.#options.logger,
      createRedact({ app: destination.app.reveal(), streamName: destination.streamName.reveal() }),
    );
    this.#process = process;
    if (this.#over) return;
    process.on('output', (chunk) => this.#report(chunk));
    process.on('drain', () => !this.#over && this.emit('drain'));
    process.on('died', (reason) => this.#die(failure(reason, resumes), resumes === true && NAME_IN_USE.test(reason)));
    process.write(flvHeader({ audio: true, video: true }));
    this.emit('ready');
  }

  #report(chunk: Buffer): void {
    // The last reports arrive while ffmpeg is being closed.
    if (this.#over) return;
    const report = this.#progress.push(chunk);
    if (!report || report.totalSize <= this.#taken) return;
    // ffmpeg writes its first byte when the publish has been accepted.
    this.#connected = true;
    this.#taken = report.totalSize;
    this.#stopWatching();
    // Nothing may be written while tags are held back, so the watch continues.
    if (this.backlog > 0) this.#watch();
    if (this.#taken > HEADER_BYTES) this.emit('progress', this.#taken);
  }

  /**
   * ffmpeg's own `rw_timeout` restarts with each byte, and takes 13 s instead of 10. The time is counted in several
   * checks: if this process could not run for a while, so that reports are waiting to be read, that counts as one
   * check.
   */
  #watch(): void {
    let checks = 0;
    const ms = this.#connected ? this.#target.stallTimeoutMs : this.#connectTimeouts.whole;
    this.#watching = setInterval(() => {
      if (++checks >= CHECKS) this.#judge();
    }, ms / CHECKS);
  }

  #stopWatching(): void {
    clearInterval(this.#watching);
    this.#watching = undefined;
  }

  #judge(): void {
    this.#stopWatching();
    if (!this.#connected)
      return this.#die(
        new GatewayError(
          'DESTINATION_TIMEOUT',
          `The destination did not accept the stream within ${this.#connectTimeouts.whole / 1000} s.`,
        ),
      );
    // ffmpeg reports no progress while it waits for input: a stream that pauses is not a dead peer.
    const paused = this.backlog === 0 && performance.now() - this.#lastWriteMs > this.#reportIntervalMs;
    if (paused) return;
    this.#die(
      new GatewayError(
        'DESTINATION_STALLED',
        `The destination has taken nothing for ${this.#target.stallTimeoutMs / 1000} s.`,
      ),
    );
  }

  #die(error: GatewayError, nameInUse = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopWatching();
    this.emit('died', error, nameInUse);
  }

  #preset(flashVersion: string): string {
    const { app, streamName, tcUrl } = this.#target.destination;
    const preset = rtmpPreset({
      app: app.reveal(),
      streamName: streamName.reveal(),
      tcUrl: tcUrl.reveal(),
      flashVersion,
    });
    if (preset.split('\n').every((line) => Buffer.byteLength(line) <= MAX_PRESET_LINE)) return preset;
    throw new GatewayError(
      'INVALID_RTMP_URL',
      `The rtmpUrl is too long for ffmpeg, which takes ${MAX_PRESET_LINE} bytes of application and of stream ` +
        'name. It needs push_engine=rtmp.',
    );
  }

  /** Writes a file for ffmpeg into a private directory (`mkdtemp`), which is removed with the connection. */
  async #writePrivately(name: string, text: string): Promise<string> {
    this.#directory ??= await mkdtemp(join(tmpdir(), 'webrtc-transponder-'));
    const file = join(this.#directory, name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  async #removeFiles(): Promise<void> {
    if (this.#directory) await rm(this.#directory, { recursive: true, force: true });
  }
}

/**
 * Messages of GnuTLS and OpenSSL about a certificate, or about a server that does not speak TLS. The word TLS alone
 * does not count: ffmpeg puts it in front of every message about such a connection (`[tls @ 0x…] IO error: Broken
 * pipe`).
 */
const NO_TRUST = new RegExp(
  [
    ...['certificate', 'unexpected TLS packet', 'fatal alert', 'alert handshake', 'alert protocol'],
    ...['wrong version number', 'packet length too long', 'unsupported protocol'],
  ].join('|'),
  'i',
);

/** The words of nginx-rtmp, SRS, node-media-server and Wowza for a name that is being published. */
const NAME_IN_USE = /Server error:.*(?:already (?:publishing|published|exists|in use)|stream.*busy|bad ?name)/i;

/**
 * ffmpeg's log as an error. A refusal of a push that was not accepted before is final, because ffmpeg does not log its
 * code.
 */
function failure(log: string, resumes = false): GatewayError {
  if (/Connection refused|No route|Network is unreachable/i.test(log))
    return new GatewayError('DESTINATION_UNREACHABLE', 'The destination refused the connection. Check host and port.');
  const words = /Server error: (.+?)(?: \||$)/.exec(log)?.[1];
  if (words)
    return new GatewayError(
      resumes ? 'DESTINATION_LOST' : 'DESTINATION_REFUSED',
      `The destination refused: ${words.slice(0, 200)}`,
    );
  if (NO_TRUST.test(log))
    return new GatewayError('DESTINATION_TLS', "The destination's certificate could not be verified, or TLS failed.");
  if (/timed out/i.test(log)) return new GatewayError('DESTINATION_TIMEOUT', 'The destination did not answer in time.');
  return new GatewayError('DESTINATION_LOST', 'The connection to the destination was lost.');
}

/**
 * Creates pushers that run one ffmpeg each (`push_engine=ffmpeg`). Reads the system's authorities once, which blocks
 * for a moment (`tls-trust.ts`).
 *
 * @throws {GatewayError} SETTINGS_INVALID if `caFile` cannot be read
 */
export function createFfmpegPusher(options: FfmpegPusherOptions): PusherFactory {
  const authorities = trustedAuthorities(options.caFile);
  return (target) => new FfmpegPusher(target, options, authorities);
}
