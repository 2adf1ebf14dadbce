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
  /** `rtmp_transponder_send_metadata`, for ffmpeg's metadata is its own. Default: true. */
  readonly sendMetadata?: boolean;
  readonly logger: Logger;
}

/** How long it may take until the destination has accepted the publish, in ms. */
export interface ConnectTimeouts {
  /** For each answer of the destination: ffmpeg judges that. */
  readonly step: number;
  /** For all together, ffmpeg's own start included: a server that drips does not gain time. */
  readonly whole: number;
}

/** A step as with the RTMP client of our own; TCP has 5 s, which ffmpeg lets nobody change under RTMP. */
export const DEFAULT_CONNECT_TIMEOUTS: ConnectTimeouts = { step: 10_000, whole: 30_000 };

/**
 * Bytes in front of ffmpeg above which it does not keep up. Above one key frame of 4K: a single tag must never count as a jam.
 */
const FULL_BYTES = 1024 * 1024;
/** What ffmpeg writes by itself, a header, metadata and sequence headers, is shorter than this; progress means more than that. */
const HEADER_BYTES = 512;
/** Milliseconds between two reports of ffmpeg. */
const REPORT_INTERVAL = 500;
/** Milliseconds that a closing connection gets to send what has been handed over. */
const FAREWELL_MS = 1000;
/** How often one looks, and hears a report at least, before a timeout is over. */
const LOOKS = 4;

/**
 * One connection through `ffmpeg -c copy`: proven everywhere, one process each. It tells nothing of why a server refused beyond its
 * log, cannot bind a local address and does not authenticate; the RTMP client of our own does.
 */
class FfmpegPusher extends EventEmitter<PusherEvents> implements Pusher {
  /** ffmpeg maps what it sees at the beginning. */
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
  /** Runs while the destination owes something: at first its acceptance of the publish, then to take what it has been given. */
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
    this.#reportIntervalMs = Math.min(REPORT_INTERVAL, target.stallTimeoutMs / LOOKS);
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
    // ffmpeg writes metadata of its own; a second one confuses some servers.
    const media = tags.filter((tag) => tag.type !== TAG_SCRIPT);
    if (media.length === 0) return;
    this.#process.write(
      ...media.flatMap((tag) => {
        const { head, tail } = flvTagParts(tag);
        return [head, tag.data, tail];
      }),
    );
    this.#lastWriteMs = performance.now();
    // Not before: ffmpeg connects when it has seen the beginning of the stream, and the publisher's first key frame may take its time.
    if (!this.#watching) this.#watch();
  }

  async close(): Promise<void> {
    const farewellMs = this.#connected && !this.#over ? FAREWELL_MS : 0;
    this.#over = true;
    this.#rest();
    await this.#opening;
    await this.#process?.close(farewellMs);
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
    // One alone: whoever tries again after a failure begins with the next.
    const address = addresses[0]!;
    const host = isIPv6(address) ? `[${address}]` : address;
    const line = pushFlv({
      server: `${destination.scheme}://${host}:${destination.port}/`,
      presetFile,
      // One time for connecting and for writing; as to writing we are stricter ourselves, see `#watch`.
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
      this.#options.logger,
      createRedact({ app: destination.app.reveal(), streamName: destination.streamName.reveal() }),
    );
    this.#process = process;
    if (this.#over) return;
    process.on('output', (chunk) => this.#report(chunk));
    process.on('drain', () => !this.#over && this.emit('drain'));
    process.on('died', (reason) => this.#die(failure(reason, resumes)));
    process.write(flvHeader({ audio: true, video: true }));
    this.emit('ready');
  }

  #report(chunk: Buffer): void {
    // Its last words come while it is closed.
    if (this.#over) return;
    const report = this.#progress.push(chunk);
    if (!report || report.totalSize <= this.#taken) return;
    // ffmpeg writes its first byte when the publish has been accepted.
    this.#connected = true;
    this.#taken = report.totalSize;
    this.#rest();
    // Whoever holds tags back until there is room writes nothing meanwhile.
    if (this.backlog > 0) this.#watch();
    if (this.#taken > HEADER_BYTES) this.emit('progress', this.#taken);
  }

  /**
   * ffmpeg's own `rw_timeout` begins again with each byte, and needs 13 s for 10; this one keeps its word. In several looks, which do not pile
   * up: a time in which this process could not run, so that reports waited to be read, counts as one.
   */
  #watch(): void {
    let looks = 0;
    const ms = this.#connected ? this.#target.stallTimeoutMs : this.#connectTimeouts.whole;
    this.#watching = setInterval(() => {
      if (++looks >= LOOKS) this.#judge();
    }, ms / LOOKS);
  }

  #rest(): void {
    clearInterval(this.#watching);
    this.#watching = undefined;
  }

  #judge(): void {
    this.#rest();
    if (!this.#connected)
      return this.#die(
        new GatewayError(
          'DESTINATION_TIMEOUT',
          `The destination did not accept the stream within ${this.#connectTimeouts.whole / 1000} s.`,
        ),
      );
    // ffmpeg reports nothing while it waits for more: a stream that pauses is not a dead peer.
    const paused = this.backlog === 0 && performance.now() - this.#lastWriteMs > this.#reportIntervalMs;
    if (paused) return;
    this.#die(
      new GatewayError(
        'DESTINATION_STALLED',
        `The destination has taken nothing for ${this.#target.stallTimeoutMs / 1000} s.`,
      ),
    );
  }

  #die(error: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    this.#rest();
    this.emit('died', error);
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
      `The rtmpUrl is too long for ffmpeg, which takes ${MAX_PRESET_LINE} bytes of application and of stream name. It needs push_engine=rtmp.`,
    );
  }

  /** A file for ffmpeg in a folder that is ours alone (`mkdtemp`), gone with the connection. */
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
 * What GnuTLS and OpenSSL say of a certificate, and of a server that answers something else than TLS. Not the word TLS itself: ffmpeg puts it
 * before whatever happens to such a connection (`[tls @ 0x…] IO error: Broken pipe`).
 */
const NO_TRUST =
  /certificate|unexpected TLS packet|fatal alert|alert handshake|alert protocol|wrong version number|packet length too long|unsupported protocol/i;

/** ffmpeg's words as an error. What a server says to a push that it has not taken before counts as its last word: ffmpeg does not tell its code. */
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
 * Pushers that run an ffmpeg each (`push_engine=ffmpeg`). Reads the system's authorities, once, which takes a while (`tls-trust.ts`).
 * @throws {GatewayError} SETTINGS_INVALID when `caFile` cannot be read.
 */
export function createFfmpegPusher(options: FfmpegPusherOptions): PusherFactory {
  const authorities = trustedAuthorities(options.caFile);
  return (target) => new FfmpegPusher(target, options, authorities);
}
