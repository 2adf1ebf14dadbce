import { GatewayError, toGatewayError } from '../../../errors.ts';
import { WINDOW_MS, type StreamMeasure, type StreamMeter } from '../../../media/stream-meter.ts';
import type { Destination } from '../../../net/destination.ts';
import type { RenditionLease } from '../../../renditions/encoder-pool.ts';
import type { Rendition } from '../../../renditions/rendition.ts';
import type { ServerCodecs } from '../../../rtmp/connect-extras.ts';
import { sleep, systemClock, type Clock } from '../../../runtime/clock.ts';
import type { StartRequest } from '../transponder-control.ts';
import type { Platform } from './catalogue.ts';
import { codecsView, type CodecDecision, type CodecPair } from '../codecs/codec-choice.ts';
import type { PushCodecs } from '../codecs/push-codecs.ts';
import { describeStream, withFacts } from './describe-stream.ts';
import { measureRendition } from './rendition-meters.ts';
import { isMeasured, judge } from './rules.ts';
import { verdict } from './verdict.ts';
import type { WireCheck } from './wire-check.ts';
import type { Verdict } from '../../../views/push-view.ts';

/** What a check needs of the pushes of the gateway. */
export interface PreflightParts {
  readonly wire: Pick<WireCheck, 'check'>;
  /** @throws {GatewayError} INVALID_RTMP_URL */
  readonly parse: (request: StartRequest, rtmpUrl: string) => Destination;
  readonly platformOf: (request: StartRequest, destination: Destination) => Platform | undefined;
  /**
   * The stream as the push would send it.
   *
   * @throws {GatewayError} STREAM_NOT_FOUND, LIMIT_REACHED, TRANSCODING_DISABLED and others
   */
  readonly acquire: (request: StartRequest, pair: CodecPair | undefined) => Promise<RenditionLease>;
  /** How the push finds its codecs. */
  readonly codecs?: Pick<PushCodecs, 'rulesFor' | 'decide' | 'extras'>;
  /** A measurement of the rendition that runs already. */
  readonly meterOf: (rendition: Rendition) => StreamMeter | undefined;
  /** Milliseconds for which a stream is measured that nobody measures yet. */
  readonly measureMs?: number;
  /** Checks at the same time. */
  readonly maxAtOnce?: number;
  readonly clock?: Clock;
}

interface CheckedServer {
  readonly verdicts: readonly Verdict[];
  readonly decision?: CodecDecision;
}

/** Long enough for two key frames at the intervals that platforms accept; clients wait for the answer. */
const MEASURE_MS = 6000;
const MAX_AT_ONCE = 4;
/** Milliseconds between two looks at a measurement. */
const LOOK_MS = 100;

export type CheckRequest = StartRequest & { readonly backupUrl?: string };

/** Checks a push without starting it: the stream, and the way to the server. Nothing goes live. */
export class Preflight {
  readonly #parts: PreflightParts;
  #running = 0;

  constructor(parts: PreflightParts) {
    this.#parts = parts;
  }

  /**
   * @param signal the client has left
   * @throws {GatewayError} INVALID_RTMP_URL, INVALID_REQUEST, LIMIT_REACHED
   */
  async check(request: CheckRequest, signal: AbortSignal): Promise<Verdict[]> {
    const { parse, platformOf, wire, maxAtOnce = MAX_AT_ONCE } = this.#parts;
    const destination = parse(request, request.rtmpUrl);
    const backup = request.backupUrl === undefined ? undefined : parse(request, request.backupUrl);
    const platform = platformOf(request, destination);
    if (this.#running >= maxAtOnce)
      throw new GatewayError('LIMIT_REACHED', `The gateway already checks ${maxAtOnce} pushes. Try again in a moment.`);
    this.#running++;
    const abort = new AbortController();
    const both = AbortSignal.any([signal, abort.signal]);
    try {
      const checked = this.#checkServer(request, destination, both);
      const [stream, { verdicts: primary }, secondary] = await Promise.all([
        this.#checkStream(request, destination, platform, checked, both),
        checked,
        backup ? wire.check(backup, request.rtmpFlashVersion, both) : [],
      ]);
      return [...stream, ...primary, ...secondary.map((one) => ({ ...one, check: `backup.${one.check}` }))];
    } finally {
      // What still runs after a failure is of no use.
      abort.abort();
      this.#running--;
    }
  }

  /** The server, and the codecs for what it announces. */
  async #checkServer(request: StartRequest, destination: Destination, signal: AbortSignal): Promise<CheckedServer> {
    const { codecs, wire } = this.#parts;
    if (!codecs) return { verdicts: await wire.check(destination, request.rtmpFlashVersion, signal) };
    const rules = codecs.rulesFor(request);
    let announced: ServerCodecs | undefined;
    const verdicts = await wire.check(destination, request.rtmpFlashVersion, signal, {
      extras: await codecs.extras(rules, destination),
      onAnswer: (answer) => void (announced = answer.codecs),
    });
    return { verdicts, decision: await codecs.decide(rules, destination, announced) };
  }

  async #checkStream(
    request: StartRequest,
    { scheme }: Destination,
    platform: Platform | undefined,
    checked: Promise<CheckedServer>,
    signal: AbortSignal,
  ): Promise<Verdict[]> {
    let lease: RenditionLease;
    let decision: CodecDecision | undefined;
    try {
      // What is sent may depend on what the server says.
      ({ decision } = await checked);
      lease = await this.#parts.acquire(request, decision?.pair);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      const isAbsent = error.code === 'STREAM_NOT_FOUND';
      return [
        verdict('stream', 'error', isAbsent ? 'the stream is not published' : error.message, {
          remedy: isAbsent ? 'Publish the stream, then check again.' : 'Remove the cause, then check again.',
        }),
      ];
    }
    try {
      const measured = await this.#measure(lease.rendition, signal);
      if (measured instanceof GatewayError)
        return [verdict('stream', 'error', measured.message, { remedy: 'Remove the cause, then check again.' })];
      return [...this.#judge(measured, scheme, platform), ...(decision ? [codecVerdict(decision, measured)] : [])];
    } finally {
      await lease.release();
    }
  }

  #judge(measure: StreamMeasure, transport: Destination['scheme'], platform: Platform | undefined): Verdict[] {
    const seconds = `${(measure.windowMs / 1000).toFixed(1)} s`;
    if (measure.windowMs === 0)
      return [
        verdict('stream', 'error', 'the stream is published, but no media has arrived', {
          remedy: 'Check the publisher: its camera and microphone may be off, or its network fails.',
        }),
      ];
    const isShort = measure.windowMs < WINDOW_MS;
    const measured = verdict(
      'stream',
      isMeasured(measure) ? 'ok' : 'warning',
      `published, measured for ${seconds}` +
        (isShort ? ` instead of ${WINDOW_MS / 1000} s: longer intervals between key frames are not seen` : ''),
    );
    return [
      measured,
      ...(platform ? withFacts(judge(platform, { measure, transport }), measure) : describeStream(measure)),
    ];
  }

  /** Waits only if the stream was not measured before. Returns the reason if the rendition fails meanwhile. */
  async #measure(rendition: Rendition, signal: AbortSignal): Promise<StreamMeasure | GatewayError> {
    const running = this.#parts.meterOf(rendition);
    if (running && isMeasured(running.measure())) return running.measure();
    const { measureMs = MEASURE_MS, clock = systemClock } = this.#parts;
    const { meter, stop } = measureRendition(rendition);
    let failure: GatewayError | undefined;
    const onFailed = (error: GatewayError): void => void (failure = error);
    rendition.on('failed', onFailed);
    rendition.requestKeyFrame();
    try {
      const endMs = clock.now() + measureMs;
      while (clock.now() < endMs && meter.windowMs < WINDOW_MS && !failure) {
        await sleep(clock, LOOK_MS, signal);
        signal.throwIfAborted();
      }
      return failure ?? meter.measure();
    } finally {
      stop();
      rendition.off('failed', onFailed);
    }
  }
}

function codecVerdict(decision: CodecDecision, { video }: StreamMeasure): Verdict {
  const codecs = codecsView(decision, video !== undefined);
  const names = [codecs.video, codecs.audio].filter((name) => name !== undefined).join(' and ');
  const { refused } = decision;
  const measured = refused === undefined ? `${names}: ${codecs.why}` : refused;
  return {
    ...verdict('codecs', refused === undefined ? 'ok' : 'error', measured, {
      ...(refused !== undefined && {
        remedy: 'Push with videoCodec and audioCodec "auto", or to a server that takes these codecs.',
      }),
    }),
    codecs,
  };
}
