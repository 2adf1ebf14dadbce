import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { toGatewayError, type GatewayError } from '../../errors.ts';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import type { Output, OutputCounters, OutputEvents } from '../output.ts';
import { Packager, type PackagerEnvironment } from './packager.ts';
import { multivariantPlaylist, type RenditionReport } from './playlist.ts';
import { Timeline } from './timeline.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { SingleFlight } from '../../runtime/async.ts';

/** One quality of `hls_ladder`. */
export interface Rung {
  /** Pixels. */
  readonly height: number;
  /** Kilobits per second. */
  readonly kbps: number;
}

export interface LadderOptions {
  readonly rungs: readonly Rung[];
  /** A rendition of the stream in a lower quality. */
  readonly acquire: (rung: Rung) => Promise<RenditionLease>;
}

/** A viewer does not wait longer for the encoders of lower qualities, in milliseconds. */
const MAX_WAIT_MS = 4000;
/** A quality that was refused or has failed is tried again for a viewer after this time, in milliseconds. */
const RETRY_MS = 10_000;

/**
 * A stream as HLS: its source quality, and lower ones as soon as it is known to be larger than they are. All share one
 * timeline, and have their key frames and discontinuities at the same times. It ends with the source quality; a lower
 * one may be refused or fail.
 */
export class Ladder extends EventEmitter<OutputEvents> implements Output {
  readonly id = randomUUID();
  readonly streamName: string;
  readonly #environment: PackagerEnvironment;
  readonly #options: LadderOptions;
  readonly #timeline = new Timeline();
  readonly #source: Packager;
  readonly #starting = new SingleFlight<Rung, void>();
  /** When a quality may be tried again that was refused or has failed. */
  readonly #retryMs = new Map<Rung, number>();
  readonly #lower = new Map<Rung, Packager>();
  #runs = 0;
  #closed: Promise<void> | undefined;

  private constructor(
    streamName: string,
    lease: RenditionLease,
    environment: PackagerEnvironment,
    options: LadderOptions,
  ) {
    super();
    this.streamName = streamName;
    this.#environment = environment;
    this.#options = options;
    const onRun = (run: number, startMs: number): void => this.#onRun(this.#source, run, startMs);
    const role = { timeline: this.#timeline, leads: true, pastRuns: 0, onRun };
    this.#source = Packager.create(streamName, lease, environment, role);
  }

  static start(
    streamName: string,
    lease: RenditionLease,
    environment: PackagerEnvironment,
    options: LadderOptions,
  ): Ladder {
    const ladder = new Ladder(streamName, lease, environment, options);
    ladder.#source.on('change', () => ladder.#end());
    ladder.#source.start();
    return ladder;
  }

  get status(): 'packaging' | 'ended' {
    return this.#source.status;
  }

  get failure(): GatewayError | undefined {
    return this.#source.failure;
  }

  get counters(): OutputCounters {
    const all = this.#packagers.map(({ counters }) => counters);
    return {
      bytesSent: all.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
      framesDropped: all.reduce((sum, { framesDropped }) => sum + framesDropped, 0),
    };
  }

  /** Bytes of media in memory. */
  get bytesHeld(): number {
    return this.#packagers.reduce((sum, { bytesHeld }) => sum + bytesHeld, 0);
  }

  /** Lower qualities that are packaged. */
  get lowerCount(): number {
    return [...this.#lower.values()].filter(({ status }) => status === 'packaging').length;
  }

  async stop(reason: GatewayError): Promise<void> {
    inBackground(this.#source.stop(reason));
    await this.#closed;
  }

  /** Deletes what is on the disk, after the end. Idempotent. */
  async dispose(): Promise<void> {
    await Promise.all(this.#packagers.map((packager) => packager.dispose()));
  }

  /**
   * The first playlist, when a player can begin.
   *
   * @param uriOf the address of a quality, by its name; `undefined`: the source
   * @throws {GatewayError} STREAM_NOT_READY, or the reason of the end
   */
  async multivariant(uriOf: (name: string | undefined) => string): Promise<string> {
    const source = await this.#source.variant();
    this.#startLower();
    const variants = [{ ...source, uri: uriOf(undefined) }];
    await within(MAX_WAIT_MS, this.#starting.settled());
    const lower = [...this.#lower].filter(([{ height }]) => height < (source.height ?? 0));
    const found = await Promise.all(
      lower.map(async ([rung, packager]) => {
        const variant = await within(
          MAX_WAIT_MS,
          packager.variant().catch(() => undefined),
        );
        return variant && packager.status === 'packaging' ? [{ ...variant, uri: uriOf(nameOf(rung)) }] : [];
      }),
    );
    return multivariantPlaylist([...variants, ...found.flat()]);
  }

  /**
   * The quality of this name; `undefined`: the source.
   *
   * @throws {GatewayError} the reason why a lower quality has ended while the source goes on
   */
  quality(name: string | undefined): Packager | undefined {
    const packager = this.#find(name);
    if (packager?.failure && !this.#source.failure) throw packager.failure;
    return packager;
  }

  /** Where the other qualities are, for the playlist of this one; addresses are relative to it. */
  reportsFor(name: string | undefined): RenditionReport[] {
    const others = [undefined, ...[...this.#lower.keys()].map(nameOf)].filter((other) => other !== name);
    return others.flatMap((other) => {
      const packager = this.#find(other);
      const last = packager?.status === 'packaging' ? packager.lastPart : undefined;
      const uri = [...(name === undefined ? [] : ['..']), ...(other === undefined ? [] : [other]), 'index.m3u8'].join(
        '/',
      );
      return last ? [{ uri, ...last }] : [];
    });
  }

  #find(name: string | undefined): Packager | undefined {
    if (name === undefined) return this.#source;
    return [...this.#lower].find(([rung]) => nameOf(rung) === name)?.[1];
  }

  get #packagers(): Packager[] {
    return [this.#source, ...this.#lower.values()];
  }

  /** A discontinuity of one quality is one of all (RFC 8216bis, 6.2.4). */
  #onRun(from: Packager, run: number, startMs: number): void {
    if (run > this.#runs) {
      this.#runs = run;
      for (const packager of this.#packagers) if (packager !== from) packager.breakAt(run, startMs);
    }
    if (from === this.#source) this.#startLower();
  }

  #startLower(): void {
    const height = this.#source.frameHeight ?? 0;
    for (const rung of this.#options.rungs)
      if (rung.height < height && this.#isMissing(rung))
        inBackground(this.#starting.run(rung, () => this.#startRung(rung)));
  }

  #isMissing(rung: Rung): boolean {
    const isThere = this.#lower.get(rung)?.status === 'packaging';
    return !isThere && this.status !== 'ended' && performance.now() >= (this.#retryMs.get(rung) ?? 0);
  }

  async #startRung(rung: Rung): Promise<void> {
    const { logger } = this.#environment;
    try {
      const lease = await this.#options.acquire(rung);
      if (this.status === 'ended') return await lease.release();
      const packager: Packager = Packager.create(this.streamName, lease, this.#environment, {
        ...{ timeline: this.#timeline, leads: false, kbps: rung.kbps, pastRuns: Math.max(this.#runs - 1, 0) },
        onRun: (run, startMs) => this.#onRun(packager, run, startMs),
      });
      await this.#lower.get(rung)?.dispose();
      this.#lower.set(rung, packager);
      packager.on('change', () => {
        const { failure } = packager;
        if (!failure || this.status === 'ended') return;
        this.#retryMs.set(rung, performance.now() + RETRY_MS);
        logger.warn(
          { stream: this.streamName, quality: nameOf(rung), code: failure.code, reason: failure.message },
          'HLS quality ended',
        );
      });
      packager.start();
    } catch (error) {
      this.#retryMs.set(rung, performance.now() + RETRY_MS);
      const { code, message } = toGatewayError(error);
      logger.warn({ stream: this.streamName, quality: nameOf(rung), code, reason: message }, 'HLS quality refused');
    }
  }

  #end(): void {
    const reason = this.#source.failure;
    if (!reason || this.#closed) return;
    this.#closed = this.#close(reason);
    this.emit('change');
  }

  async #close(reason: GatewayError): Promise<void> {
    await Promise.all(this.#packagers.map((packager) => packager.stop(reason)));
    await this.#starting.settled();
    this.emit('closed');
  }
}

const nameOf = ({ height }: Rung): string => String(height);

/** What the work results in, or `undefined` when the time is over. */
const within = <T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> =>
  Promise.race([work, sleep(timeoutMs, undefined, { ref: false })]);
