import { GatewayError } from '../../../errors.ts';
import type { Destination } from '../../../net/destination.ts';
import type { Logger } from '../../../observe/logger.ts';
import { inBackground } from '../../../runtime/in-background.ts';
import { codecExtras, NO_EXTRAS, type ConnectExtras } from '../../../rtmp/connect-extras.ts';
import type { ConnectAnswer } from '../../../rtmp/rtmp-client.ts';
import {
  announcedNames,
  chooseCodecs,
  foreignNames,
  isSamePair,
  mayPass,
  TITLES,
  type CodecDecision,
  type CodecFacts,
  type ForeignName,
  type HostKnowledge,
} from './codec-choice.ts';
import type { HostMemory } from './host-memory.ts';
import type { PushMedia, PushVariant } from './push-media.ts';

/** What the codecs of a push depend on, except for its server. */
export type OwnFacts = Omit<CodecFacts, 'server' | 'host' | 'dropped' | 'platform'>;

/** How a push finds its codecs. */
export interface CodecRules {
  readonly own: () => OwnFacts;
  readonly platformOf: (destination: Destination) => CodecFacts['platform'];
  readonly memory: Pick<HostMemory, 'recall' | 'learn'>;
  /** Calls the listener when what is published may have changed. Returns a function that ends this. */
  readonly watch: (listener: () => void) => () => void;
  /** A server was found to take less than the push sent. */
  readonly onFallback?: (() => void) | undefined;
}

export interface LegCodecsOptions {
  readonly media: PushMedia;
  /** Without them the codecs are those that the push began with. */
  readonly rules?: CodecRules | undefined;
  /** What the push was begun with. */
  readonly decision: CodecDecision;
  readonly destination: Destination;
  readonly logger: Logger;
}

/** What a connection has shown. */
export interface ConnectionCourse {
  /** Milliseconds since the first sequence header; 0 before. */
  readonly mediaMs: number;
  readonly hasBegun: boolean;
  /** Milliseconds from the first sequence header until the server last took something. */
  readonly takenForMs: number;
}

/** A server that does not take a codec closes the connection within this time after its sequence header. */
const VERDICT_MS = 5000;

/**
 * The codecs of one leg: what it announces, what it sends for the answer, and what it concludes when the server closes
 * the connection.
 */
export class LegCodecs {
  readonly #options: LegCodecsOptions;
  #decision: CodecDecision;
  #variant: PushVariant | undefined;
  #host: HostKnowledge = {};
  #place: Destination;
  #answer: ConnectAnswer | undefined;
  /** What the server closed a connection at. */
  readonly #dropped = new Set<ForeignName>();
  /** What the server took for long enough. */
  readonly #proven = new Set<ForeignName>();
  #isConfirmed = false;
  #ended = false;

  constructor(options: LegCodecsOptions) {
    this.#options = options;
    this.#decision = options.decision;
    this.#place = options.destination;
  }

  /** What is sent, or will be as far as is known. */
  get decision(): CodecDecision {
    return this.#decision;
  }

  /** What was sent last; that of the push before a connection was made. */
  get variant(): PushVariant {
    const { media } = this.#options;
    return this.#variant ?? media.variants[0]!;
  }

  /** What `connect` announces to the server of a place. */
  extras(place: Destination): undefined | Promise<ConnectExtras> {
    const { rules } = this.#options;
    return rules && this.#recall(rules, place);
  }

  /**
   * Chooses what goes over a connection.
   *
   * @throws {GatewayError} DESTINATION_REFUSED, or why what is chosen cannot be had
   */
  begin(answer: ConnectAnswer | undefined): PushVariant | Promise<PushVariant> {
    this.#answer = answer;
    if (answer) this.#learnFrom(answer);
    const decision = this.#choose();
    if (decision.refused !== undefined)
      throw new GatewayError('DESTINATION_REFUSED', `The push cannot be sent: ${decision.refused}.`);
    this.#decision = decision;
    const leased = this.#options.media.lease(decision.pair);
    return leased instanceof Promise ? leased.then((variant) => this.#use(variant)) : this.#use(leased);
  }

  /** The server has taken media. */
  progressed(course: ConnectionCourse): void {
    if (course.mediaMs < VERDICT_MS) return;
    for (const name of foreignNames(this.#decision.pair)) this.#proven.add(name);
    if (this.#dropped.size === 0 || this.#isConfirmed) return;
    this.#isConfirmed = true;
    // Without these codecs the connection stays: they were the reason.
    this.#learn(({ refused = [], announced = [], ...before }) => ({
      ...before,
      refused: [...new Set([...refused, ...this.#dropped])],
      announced: announced.filter((name) => !(this.#dropped as ReadonlySet<string>).has(name)),
    }));
  }

  /**
   * What the end of a connection means for the codecs: `again`: connect with others; an error: the codec that was asked for
   * is not taken; `undefined`: nothing.
   */
  judge(error: GatewayError, nameInUse: boolean, course: ConnectionCourse): 'again' | GatewayError | undefined {
    const { rules, logger } = this.#options;
    if (!rules || nameInUse || !course.hasBegun) return undefined;
    const hangs = error.code === 'DESTINATION_STALLED';
    if ((hangs ? course.takenForMs : course.mediaMs) >= VERDICT_MS) return undefined;
    const sent = foreignNames(this.#decision.pair).filter((name) => !this.#proven.has(name));
    if (sent.length === 0) return undefined;
    const { video, audio } = rules.own();
    const replaceable = sent.filter((name) => (name === 'Opus' ? audio : video) === 'auto');
    const titles = sent.map((name) => `${TITLES[name]} (${name})`).join(' and ');
    if (replaceable.length > 0) {
      for (const name of replaceable) this.#dropped.add(name);
      this.#isConfirmed = false;
      rules.onFallback?.();
      logger.warn(
        { codecs: sent, reason: error.message },
        'the server closed the connection at these codecs: the push goes on with others',
      );
      return 'again';
    }
    if (hangs) return new GatewayError(error.code, `${error.message}, since it got ${titles}`, { cause: error });
    const seconds = (course.mediaMs / 1000).toFixed(1);
    return new GatewayError(
      'DESTINATION_REFUSED',
      `The server does not take ${titles}: it closed the connection ${seconds} s after the first sequence ` +
        `header (${error.message}). Push with auto, or to a server that takes it.`,
      { cause: error },
    );
  }

  /** Whether other codecs should be sent than are now, because something else is published. */
  get isOutdated(): boolean {
    if (!this.#variant || this.#ended) return false;
    const { pair } = this.#choose();
    return !isSamePair(pair, this.#variant.pair);
  }

  /** The leg needs nothing any more. */
  end(): void {
    this.#ended = true;
    this.rest();
  }

  /** The leg needs nothing at the moment. */
  rest(): void {
    const variant = this.#variant;
    this.#variant = undefined;
    if (variant) this.#options.media.release(variant);
  }

  async #recall(rules: CodecRules, place: Destination): Promise<ConnectExtras> {
    this.#place = place;
    this.#host = await rules.memory.recall(place);
    if (this.#host.failsOnExtras) return NO_EXTRAS;
    const own = rules.own();
    return own.plainBecause === undefined ? codecExtras(mayPass(own)) : NO_EXTRAS;
  }

  #choose(): CodecDecision {
    const { rules, decision, destination } = this.#options;
    if (!rules) return decision;
    return chooseCodecs({
      ...rules.own(),
      platform: rules.platformOf(destination),
      host: this.#host,
      dropped: this.#dropped,
      ...(this.#answer && { server: this.#answer.codecs }),
    });
  }

  #use(variant: PushVariant): PushVariant {
    if (this.#ended) {
      this.#options.media.release(variant);
      throw new GatewayError('TERMINATED', 'The push has ended.');
    }
    const before = this.#variant;
    this.#variant = variant;
    if (before) this.#options.media.release(before);
    return variant;
  }

  #learnFrom({ codecs, failedOnExtras }: ConnectAnswer): void {
    if (failedOnExtras && !this.#host.failsOnExtras) this.#learn((before) => ({ ...before, failsOnExtras: true }));
    const names = announcedNames(codecs);
    if (names.some((name) => !this.#host.announced?.includes(name)))
      this.#learn((before) => ({ ...before, announced: names }));
  }

  #learn(change: (before: HostKnowledge) => HostKnowledge): void {
    this.#host = change(this.#host);
    inBackground(this.#options.rules!.memory.learn(this.#place, change));
  }
}
