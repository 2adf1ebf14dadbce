import { GatewayError } from '../../errors.ts';
import { namingField, parseDestination, type AddressingRules, type Destination } from '../../net/destination.ts';
import { encodeProfile, type EncodeProfile } from '../../renditions/encode-profile.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { Verdict } from '../../views/push-view.ts';
import type { CodecPair } from './codecs/codec-choice.ts';
import { PushCodecs, type PushCodecsOptions } from './codecs/push-codecs.ts';
import type { OpenedSource } from './codecs/push-media.ts';
import { Preflight, type CheckRequest } from './platforms/preflight.ts';
import type { WireCheck } from './platforms/wire-check.ts';
import { PushSources, type PushSourceOptions, type PushSourcesOptions } from './push-sources.ts';
import { resolveDestinations } from './resolve-destinations.ts';
import type { SoundLibrary } from './sound-library.ts';
import { loadPushSound } from './sound-loading.ts';
import { requireStandby } from './standby-renditions.ts';
import type { PushIdentity, TransponderEnvironment, TransponderOptionsAtStart } from './transponder-start.ts';
import type { StartRequest } from './transponder-control.ts';

export interface PushPreparationOptions extends PushSourcesOptions {
  readonly registry: StreamRegistry;
  readonly sounds: SoundLibrary;
  readonly environment: TransponderEnvironment;
  readonly wire: Pick<WireCheck, 'check'>;
  readonly addressing: AddressingRules;
  readonly preserveAspectRatio: boolean;
  readonly codecs: PushCodecsOptions;
}

export interface PushToPrepare {
  readonly request: TransponderOptionsAtStart['request'];
  /** The request of the push that runs, whose standby may be another one than at its start. */
  readonly current: () => TransponderOptionsAtStart['request'];
  /** The primary, then the backup if there is one. */
  readonly destinations: readonly [Destination, ...Destination[]];
  /** From {@link PushPreparation.liveStream}. */
  readonly stream: LiveStream | undefined;
  readonly continued: PushIdentity | undefined;
  /** Aborted when the client that waits for the push has gone away. */
  readonly signal: AbortSignal | undefined;
}

/** Makes of a request what a transponder starts with: its destinations, the stream in its codecs, its sound. */
export class PushPreparation {
  readonly #options: PushPreparationOptions;
  readonly #sources: PushSources;
  readonly #codecs: PushCodecs;
  readonly #preflight: Preflight;

  constructor(options: PushPreparationOptions) {
    this.#options = options;
    const { platforms, wire, encoders, codecs } = options;
    this.#sources = new PushSources(options);
    this.#codecs = new PushCodecs(codecs, options);
    this.#preflight = new Preflight({
      wire,
      parse: (request, rtmpUrl) => this.#parse({ ...request, rtmpUrl }),
      platformOf: (request, destination) => platforms.of(request, destination),
      meterOf: (rendition) => platforms.meterOf(rendition),
      acquire: async (request, pair) =>
        encoders.acquire(
          this.liveStream({ ...request, standby: false })!,
          this.#profile(request, pair ?? { video: 'h264', audio: codecs.otherAudio }),
        ),
      codecs: this.#codecs,
    });
  }

  /** Checks the stream and the way to the server, and opens nothing that lasts. */
  check(request: CheckRequest, signal: AbortSignal): Promise<Verdict[]> {
    return this.#preflight.check(request, signal);
  }

  /**
   * The destination, and the backup if there is one.
   *
   * @throws {GatewayError} INVALID_RTMP_URL
   */
  destinations(request: StartRequest): [Destination, ...Destination[]] {
    const primary = this.#parse(request);
    if (request.backupUrl === undefined) return [primary];
    return [primary, namingField('backupUrl', () => this.#parse(request, request.backupUrl))];
  }

  /** The destination without secrets; empty for a URL that is not valid. */
  redactedDestination(request: StartRequest): string {
    try {
      return this.#parse(request).redacted;
    } catch {
      return '';
    }
  }

  /**
   * The stream to push; `undefined` if a push with standby may wait for it.
   *
   * @throws {GatewayError} STREAM_NOT_FOUND
   */
  liveStream({ streamName: name, standby }: StartRequest): LiveStream | undefined {
    const stream = this.#options.registry.find(name);
    if (!stream?.publisher && !(standby && standby.startWithStandby))
      throw new GatewayError(
        'STREAM_NOT_FOUND',
        `Stream not found: ${JSON.stringify(name)} is not published. Publish it first, then start the push.`,
      );
    return stream;
  }

  /** Opens the source of the push last, so that a request that fails before has nothing to release. */
  async prepare(push: PushToPrepare): Promise<TransponderOptionsAtStart> {
    const { encoders, environment, sounds, standby: renditions } = this.#options;
    const { request, current, destinations, stream, continued, signal } = push;
    const { options, standby } = request;
    const rules = this.#codecs.rulesFor(request, continued?.published);
    const decision = await this.#codecs.decide(rules, destinations[0]);
    const profile = this.#profile(request, decision.pair);
    if (stream) encoders.check(stream, profile);
    if (standby) await requireStandby(renditions).check(standby);
    const [primary, backup] = await resolveDestinations(destinations, request, environment);
    const until = { user: standby ? undefined : stream, end: 'ended', client: signal };
    const sound =
      options?.action === 'sound_on' ? await loadPushSound(sounds, options, [decision.pair.audio], until) : undefined;
    const { destination } = primary!;
    const source = await this.#sources.open({
      request,
      destination,
      profile,
      stream,
      awaySince: continued?.awaySince,
    });
    const format = await encoders.audioFormat(profile.audioCodec);
    return {
      ...primary!,
      ...source,
      request,
      codecs: {
        decision,
        rules,
        format,
        open: (pair, awaySince) => this.#openVariant(current(), destination, stream, pair, awaySince),
      },
      ...(continued && { continued }),
      ...(backup && { backup }),
      ...(sound && { sound }),
    };
  }

  /** What a push that runs sends in other codecs. @param begun the stream that it was started with */
  async #openVariant(
    request: PushSourceOptions['request'],
    destination: Destination,
    begun: LiveStream | undefined,
    pair: CodecPair,
    awaySince: Date | undefined,
  ): Promise<OpenedSource> {
    const stream = this.#options.registry.find(request.streamName) ?? begun;
    const profile = this.#profile(request, pair);
    const format = await this.#options.encoders.audioFormat(pair.audio);
    const source = await this.#sources.open({ request, destination, profile, stream, awaySince });
    return { source, format };
  }

  #profile(request: StartRequest, { video, audio }: CodecPair): EncodeProfile {
    const passes = video === 'h264' ? undefined : video;
    return encodeProfile(request, this.#options.preserveAspectRatio, audio, passes);
  }

  #parse(request: StartRequest, url = request.rtmpUrl): Destination {
    const { addressing } = this.#options;
    // Either of the two: WCS's REST client sends false where the user has set nothing.
    const fullUrl = addressing.fullUrl || (request.rtmpTransponderFullUrl ?? false);
    return parseDestination(url, request.streamName, { ...addressing, fullUrl });
  }
}
