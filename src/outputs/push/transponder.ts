import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { RenditionAudioCodec } from '../../renditions/encode-profile.ts';
import type { ContinuousRendition } from '../../renditions/standby/continuous-rendition.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import { sumCounters, type Output, type OutputCounters, type OutputEvents } from '../output.ts';
import type { CodecDecision } from './codecs/codec-choice.ts';
import { LegCodecs, type CodecRules } from './codecs/leg-codecs.ts';
import { PushMedia, type PushSound, type PushVariant } from './codecs/push-media.ts';
import type { LegState, PushReach } from './leg-state.ts';
import { Leg } from './leg.ts';
import { viewOf } from './make-views.ts';
import { retryRules } from './retry-rules.ts';
import { describeEnd, describeLeg } from './transponder-log.ts';
import {
  DEFAULT_BACKUP_AFTER_MS,
  legFeed,
  type CheckedDestination,
  type TransponderEnvironment,
  type TransponderOptionsAtStart,
} from './transponder-start.ts';
import {
  eventOf,
  initialState,
  leading,
  reachOf,
  statusOf,
  transition,
  type BackupMode,
  type TransponderEffect,
  type TransponderEvent,
  type TransponderState,
} from './transponder-state.ts';
import type { StandbyRequest } from './transponder-control.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';
import type { LegName, TransponderOptions, TransponderView } from '../../views/push-view.ts';

/** What changes of a live stream the view of a push shows. */
const STREAM_EVENTS = ['lost', 'published', 'videoProblem'] as const;

/** The codecs of a push that does not choose. */
const FIXED: CodecDecision = { pair: { video: 'h264', audio: 'aac' }, why: '' };

/**
 * An output that pushes one rendition of a stream to one RTMP destination, or to a second one as well. Its id is WCS's
 * `mediaSessionId`.
 */
export class Transponder extends EventEmitter<OutputEvents> implements Output {
  readonly id: string;
  readonly destination: Destination;
  readonly startedAt: Date;
  readonly #stream: LiveStream | undefined;
  readonly #media: PushMedia;
  #request: TransponderOptionsAtStart['request'];
  readonly #logger: Logger;
  readonly #isContinued: boolean;
  readonly #backupMode: BackupMode | undefined;
  /** The primary, then the backup if there is one. */
  readonly #legs: readonly [Leg, ...Leg[]];
  #stopWatching: () => void = () => {};
  readonly #onStreamChanged = (): void => void this.emit('change');
  readonly #onPublished = (): void => {
    for (const leg of this.#legs) leg.reconsider();
  };
  readonly #onInvalidTransition: (status: string, event: string) => void;
  readonly #closed = Promise.withResolvers<void>();
  #options: TransponderOptions;
  #state: TransponderState;
  #delay: NodeJS.Timeout | undefined;
  #endedAt: Date | undefined;
  /** When the standby that was logged last has begun. */
  #standbySince: Date | undefined;
  /** Number of sound orders given, and the latest one that was carried out. */
  #soundOrders = 0;
  #soundOrder = 0;

  private constructor(start: TransponderOptionsAtStart, environment: TransponderEnvironment) {
    super();
    const { request, destination, backup, continued } = start;
    this.id = continued?.mediaSessionId ?? randomUUID();
    this.startedAt = continued?.startedAt ?? wallClockDate();
    this.#isContinued = continued !== undefined;
    this.#request = request;
    this.destination = destination;
    this.#stream = start.stream;
    this.#options = request.options ?? {};
    this.#onInvalidTransition = environment.onInvalidTransition;
    this.#logger = environment.logger.child({
      transponder: this.id,
      stream: request.streamName,
      destination: destination.redacted,
      requestId: start.requestId,
    });
    const decision = start.codecs?.decision ?? FIXED;
    this.#media = new PushMedia({
      pair: decision.pair,
      source: start,
      format: start.codecs?.format ?? environment,
      open: start.codecs?.open,
      logger: this.#logger,
    });
    if (this.#options.action === 'mute') this.#media.mute();
    if (start.sound) this.#media.soundOn(start.sound);
    this.#backupMode = backup && (request.backupMode ?? 'hot');
    const { state, effects } = initialState(this.#backupMode);
    this.#state = state;
    const createLeg = (name: LegName, to: CheckedDestination, idle: boolean): Leg =>
      this.#createLeg(name, to, idle, start.codecs?.rules, decision, environment);
    this.#legs = backup
      ? [createLeg('primary', start, false), createLeg('backup', backup, !effects.includes('open-backup'))]
      : [createLeg('primary', start, false)];
    if (effects.includes('start-delay')) this.#apply('start-delay');
  }

  /** Begins to push. Never fails: what goes wrong from here on is the transponder's state. */
  static start(start: TransponderOptionsAtStart, environment: TransponderEnvironment): Transponder {
    const transponder = new Transponder(start, environment);
    const media = transponder.#media;
    media.on('failed', (variant, error) => transponder.#mediaFailed(variant, error));
    media.on('change', () => {
      transponder.#logStandby();
      transponder.emit('change');
    });
    for (const event of STREAM_EVENTS) start.stream?.on(event, transponder.#onStreamChanged);
    if (start.codecs) transponder.#stopWatching = start.codecs.rules.watch(transponder.#onPublished);
    transponder.#logger.info(
      { ...(start.backup && { backup: start.backup.destination.redacted, backupMode: transponder.#backupMode }) },
      start.continued ? 'push continued after a restart' : 'push started',
    );
    return transponder;
  }

  get status(): Exclude<LegState['status'], 'idle'> {
    return statusOf(this.#state, this.#legs);
  }

  /** How far the legs that are in use have come; `undefined`: it has ended. */
  get reach(): PushReach | undefined {
    return reachOf(this.#state, this.#legs);
  }

  get outlivesStream(): boolean {
    return this.#media.hasStandby;
  }

  get streamName(): string {
    return this.request.streamName;
  }

  get failure(): GatewayError | undefined {
    return this.#state.phase === 'ended' ? this.#state.reason : leading(this.#legs).failure;
  }

  get counters(): OutputCounters {
    return sumCounters(this.#legs.map(({ counters }) => counters));
  }

  view(): TransponderView {
    const leg = leading(this.#legs);
    return viewOf({
      ...{ id: this.id, request: this.request, destination: this.destination, stream: this.#stream },
      ...{ status: this.status, failure: this.failure, startedAt: this.startedAt, endedAt: this.#endedAt },
      ...{ backupMode: this.#backupMode, options: this.#options, audio: this.#media, counters: this.counters },
      legs: this.#legs.map((each) => each.view()),
      leading: { view: leg.view(), source: leg.variant.source, decision: leg.decision },
    });
  }

  mute(): void {
    this.#media.mute();
  }

  unmute(): void {
    this.#media.unmute();
  }

  /** The codecs in which its connections have audio. */
  get audioCodecs(): readonly RenditionAudioCodec[] {
    return [...new Set(this.#media.variants.map(({ pair }) => pair.audio))];
  }

  /** Reserves a place in the order of sound orders. Files take time to read, and the later order wins. */
  orderSound(): number {
    return ++this.#soundOrders;
  }

  /** @param order from {@link orderSound}, before the clips were read */
  soundOn(sound: PushSound, order: number): void {
    if (order < this.#soundOrder) return;
    this.#soundOrder = order;
    this.#media.soundOn(sound);
  }

  soundOff(): void {
    this.#soundOrder = this.orderSound();
    this.#media.soundOff();
  }

  /** The renditions whose standby can be switched; none without standby. */
  get standbys(): readonly ContinuousRendition[] {
    return this.#media.standbys;
  }

  get request(): TransponderOptionsAtStart['request'] {
    return this.#request;
  }

  /** Another standby is asked for than at the start. */
  changedStandby(standby: StandbyRequest): void {
    this.#request = { ...this.#request, standby };
  }

  /** Switches to standby by hand, or back to the live stream. */
  hold(on: boolean): void {
    this.#media.holdStandby(on);
  }

  /** Connects legs that wait for their next attempt. */
  retry(): void {
    for (const leg of this.#legs) leg.retry();
  }

  stop(reason: GatewayError): Promise<void> {
    this.#dispatch({ type: 'stop', reason });
    return this.#closed.promise;
  }

  #logStandby(): void {
    const { since, reason, picture } = leading(this.#legs).variant.source.standby?.standby ?? {};
    if (since === this.#standbySince) return;
    this.#standbySince = since;
    if (since) this.#logger.warn({ standby: reason, picture }, 'standby begins');
    else this.#logger.info('standby ends');
  }

  /** Another publisher's codecs may need another variant, which takes its place. */
  #mediaFailed(variant: PushVariant, error: GatewayError): void {
    const users = this.#legs.filter((leg) => leg.variant === variant);
    const goesOn = users.map((leg) => leg.reconsider());
    if (!goesOn.includes(true)) inBackground(this.stop(error));
  }

  #createLeg(
    name: LegName,
    { destination, addresses, unresolved }: CheckedDestination,
    idle: boolean,
    rules: CodecRules | undefined,
    decision: CodecDecision,
    environment: TransponderEnvironment,
  ): Leg {
    const logger = this.#legLogger(name, destination.redacted);
    const codecs = new LegCodecs({ media: this.#media, rules, decision, destination, logger });
    const leg = Leg.start(
      {
        name,
        destination,
        addresses,
        ...(unresolved && { unresolved }),
        idle,
        continues: this.#isContinued,
        flashVersion: this.request.rtmpFlashVersion ?? environment.flashVersion,
        retry: retryRules(this.request, environment.retry),
        isCovered: () => this.#legs.some((other) => other !== leg && other.status === 'pushing'),
        codecs,
        feed: legFeed(environment),
        logger,
      },
      environment,
    );
    leg.on('change', (before, after) => this.#legChanged(leg, before, after));
    if (name === 'primary') leg.on('steady', () => this.#dispatch({ type: 'primary-steady' }));
    return leg;
  }

  #legLogger(leg: LegName, destination: string): Logger {
    return this.#backupMode ? this.#logger.child({ leg, destination }) : this.#logger;
  }

  #legChanged(leg: Leg, before: LegState, after: LegState): void {
    // The end of the push is one change, not one of each leg.
    if (this.#state.phase === 'ended') return;
    const line = describeLeg(before, after, leg.hasPushed, this.#backupMode !== undefined);
    if (line) this.#legLogger(leg.name, leg.view().destination)[line.level](line.fields, line.message);
    const event = eventOf(leg.name, after);
    if (event) this.#dispatch(event);
    this.#media.setPushing(this.status === 'pushing');
    // Unless that was the end, which is announced where it is carried out.
    if (!this.#endedAt) this.emit('change');
  }

  #dispatch(event: TransponderEvent): void {
    const before = this.#state;
    const next = transition(before, event, this.#backupMode);
    if (!next) {
      this.#logger.error({ phase: before.phase, event: event.type }, 'invalid transition of a transponder');
      this.#onInvalidTransition(before.phase, event.type);
      return;
    }
    this.#state = next.state;
    for (const effect of next.effects) this.#apply(effect);
  }

  #apply(effect: TransponderEffect): void {
    switch (effect) {
      case 'open-backup':
        this.#legs[1]!.open();
        break;
      case 'close-backup':
        this.#legs[1]!.close();
        break;
      case 'start-delay':
        this.#delay = setTimeout(
          () => this.#dispatch({ type: 'overdue' }),
          this.request.backupAfterMs ?? DEFAULT_BACKUP_AFTER_MS,
        );
        break;
      case 'cancel-delay':
        clearTimeout(this.#delay);
        break;
      case 'stop-legs':
        if (this.#state.phase === 'ended') for (const leg of this.#legs) leg.stop(this.#state.reason);
        break;
      case 'finish':
        inBackground(this.#finish());
        break;
      default:
        effect satisfies never;
    }
  }

  async #finish(): Promise<void> {
    this.#endedAt = wallClockDate();
    this.#media.stop();
    this.#stopWatching();
    for (const event of STREAM_EVENTS) this.#stream?.off(event, this.#onStreamChanged);
    const { attempt } = leading(this.#legs).state;
    const { level, message, fields } = describeEnd(this.failure!, attempt);
    this.#logger[level](fields, message);
    this.emit('change');
    await Promise.all(this.#legs.map((leg) => leg.closed));
    await this.#media.close();
    this.#closed.resolve();
    this.emit('closed');
  }
}
