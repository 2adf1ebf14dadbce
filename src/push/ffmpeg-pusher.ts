import { EventEmitter } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GatewayError, toGatewayError } from '../errors.ts';
import { pushFlv, rtmpPreset } from '../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { FfmpegProgressReader } from '../ffmpeg/ffmpeg-progress.ts';
import type { FlvTag } from '../flv/flv-tag.ts';
import { TAG_SCRIPT } from '../flv/flv-tag.ts';
import { flvHeader, flvTagParts } from '../flv/flv-writer.ts';
import type { Logger } from '../logger.ts';
import type { Pusher, PusherEvents, PusherFactory, PushTarget } from './pusher.ts';

export interface FfmpegPusherOptions {
  /** An additional CA for RTMPS; empty: the system's. */
  readonly tlsCaFile?: string;
  /** The one host whose certificate is not verified. */
  readonly tlsInsecureHost?: string;
  readonly logger: Logger;
}

/**
 * Bytes in front of ffmpeg above which it does not keep up. Above one key frame of 4K: a single tag must never count as a jam.
 */
const FULL_BYTES = 1024 * 1024;
/** ffmpeg's own greeting to the server is this long; progress means more than that. */
const HEADER_BYTES = 512;

/**
 * One connection through `ffmpeg -c copy`: proven everywhere, one process each. It tells nothing of why a server refused beyond its
 * log, cannot bind a local address and does not authenticate; the RTMP client of our own does.
 */
class FfmpegPusher extends EventEmitter<PusherEvents> implements Pusher {
  readonly #target: PushTarget;
  readonly #options: FfmpegPusherOptions;
  readonly #progress = new FfmpegProgressReader();
  #process: FfmpegProcess | undefined;
  #directory: string | undefined;
  #opening: Promise<void>;
  #stallTimer: NodeJS.Timeout | undefined;
  #taken = 0;
  #over = false;

  constructor(target: PushTarget, options: FfmpegPusherOptions) {
    super();
    this.#target = target;
    this.#options = options;
    this.#opening = this.#open().catch((error: unknown) => this.#die(toGatewayError(error, 'PUSHER_FAILED')));
  }

  get writable(): boolean {
    return this.backlog < FULL_BYTES;
  }

  get backlog(): number {
    return this.#process?.backlog ?? 0;
  }

  write(tag: FlvTag): void {
    if (!this.#process || this.#over) return;
    // ffmpeg writes metadata of its own; a second one confuses some servers.
    if (tag.type === TAG_SCRIPT) return;
    const { head, tail } = flvTagParts(tag);
    this.#process.write(head, tag.data, tail);
  }

  async close(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#stallTimer);
    await this.#opening;
    await this.#process?.close();
    await this.#removePreset();
  }

  async #open(): Promise<void> {
    const { destination, address, flashVersion, stallTimeoutMs } = this.#target;
    if (destination.user) throw new GatewayError('DESTINATION_AUTHENTICATION', 'A user and password in the rtmpUrl need push_engine=rtmp: ffmpeg would show them in its arguments.');
    const presetFile = await this.#writePreset(flashVersion);
    const host = isIPv6(address) ? `[${address}]` : address;
    const { tlsCaFile, tlsInsecureHost } = this.#options;
    const line = pushFlv({
      server: `${destination.scheme}://${host}:${destination.port}/`,
      presetFile,
      timeoutMs: stallTimeoutMs,
      ...(destination.scheme === 'rtmps' && { tls: { host: destination.host, insecure: tlsInsecureHost === destination.host, ...(tlsCaFile && { caFile: tlsCaFile }) } }),
    });
    const process = await FfmpegProcess.start(line, 'pusher', this.#options.logger);
    this.#process = process;
    if (this.#over) return;
    process.on('output', (chunk) => this.#report(chunk));
    process.on('drain', () => this.emit('drain'));
    process.on('died', (reason) => this.#die(failure(reason)));
    process.write(flvHeader({ audio: true, video: true }));
    this.#watch();
    this.emit('ready');
  }

  #report(chunk: Buffer): void {
    const report = this.#progress.push(chunk);
    if (!report || report.totalSize <= Math.max(HEADER_BYTES, this.#taken)) return;
    this.#taken = report.totalSize;
    this.#watch();
    this.emit('progress', this.#taken);
  }

  /** ffmpeg's own `rw_timeout` needs 13 s for 10; this one keeps its word. */
  #watch(): void {
    clearTimeout(this.#stallTimer);
    const ms = this.#target.stallTimeoutMs;
    this.#stallTimer = setTimeout(() => this.#die(new GatewayError('DESTINATION_STALLED', `The destination has taken nothing for ${ms / 1000} s.`)), ms);
  }

  #die(error: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#stallTimer);
    this.emit('died', error);
  }

  async #writePreset(flashVersion: string): Promise<string> {
    const { app, streamName, tcUrl } = this.#target.destination;
    this.#directory = await mkdtemp(join(tmpdir(), 'webrtc-transponder-'));
    await chmod(this.#directory, 0o700);
    const file = join(this.#directory, 'push.ffpreset');
    await writeFile(file, rtmpPreset({ app: app.reveal(), streamName: streamName.reveal(), tcUrl: tcUrl.reveal(), flashVersion }), { mode: 0o600 });
    return file;
  }

  async #removePreset(): Promise<void> {
    if (this.#directory) await rm(this.#directory, { recursive: true, force: true });
  }
}

/** ffmpeg's words as an error; it says little, and nothing of it is sure enough to be final. */
function failure(log: string): GatewayError {
  if (/Connection refused|No route|Network is unreachable/i.test(log)) return new GatewayError('DESTINATION_UNREACHABLE', 'The destination refused the connection. Check host and port.');
  if (/Server error: (.+?)(?: \||$)/.test(log)) return new GatewayError('DESTINATION_REFUSED', `The destination refused: ${/Server error: (.+?)(?: \||$)/.exec(log)![1]!.slice(0, 200)}`);
  if (/certificate|TLS|SSL/i.test(log)) return new GatewayError('DESTINATION_TLS', "The destination's certificate could not be verified.");
  if (/timed out/i.test(log)) return new GatewayError('DESTINATION_TIMEOUT', 'The destination did not answer in time.');
  return new GatewayError('DESTINATION_LOST', 'The connection to the destination was lost.');
}

/** Pushers that run an ffmpeg each (`push_engine=ffmpeg`). */
export function createFfmpegPusher(options: FfmpegPusherOptions): PusherFactory {
  return (target) => new FfmpegPusher(target, options);
}
