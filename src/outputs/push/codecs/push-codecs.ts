import { GatewayError } from '../../../errors.ts';
import type { ForeignVideoCodec } from '../../../media/containers/enhanced-tag.ts';
import type { Destination } from '../../../net/destination.ts';
import { asksForTranscoding, encodeProfile, type RtmpAudioCodec } from '../../../renditions/encode-profile.ts';
import { codecExtras, NO_EXTRAS, type ConnectExtras, type ServerCodecs } from '../../../rtmp/connect-extras.ts';
import type { LiveStream } from '../../../streams/live-stream.ts';
import type { StreamRegistry } from '../../../streams/stream-registry.ts';
import type { PushPlatforms } from '../platforms/push-platforms.ts';
import type { StandbyRequest, StartRequest } from '../transponder-control.ts';
import {
  chooseCodecs,
  mayPass,
  NAMES,
  type CodecDecision,
  type CodecFacts,
  type PublishedCodecs,
} from './codec-choice.ts';
import type { AudioChoice, VideoChoice } from './choices.ts';
import type { HostMemory } from './host-memory.ts';
import type { CodecRules, OwnFacts } from './leg-codecs.ts';

export interface PushCodecsOptions {
  /** What pushes want whose request does not say it. */
  readonly video: VideoChoice;
  readonly audio: AudioChoice;
  /** Why only codecs of RTMP 1.0 are sent. */
  readonly plainBecause?: string | undefined;
  readonly otherAudio: RtmpAudioCodec;
  /** The codecs in which standby pictures can be encoded. */
  readonly clipCodecs: ReadonlySet<ForeignVideoCodec>;
  readonly memory: Pick<HostMemory, 'recall' | 'learn'>;
  /** A server was found to take less than a push sent. */
  readonly onFallback?: () => void;
}

export interface PushCodecsParts {
  readonly registry: StreamRegistry;
  readonly platforms: Pick<PushPlatforms, 'of'>;
}

type Request = StartRequest & { readonly standby?: StandbyRequest | false };

/** How the pushes of a gateway find their codecs. */
export class PushCodecs {
  readonly #options: PushCodecsOptions;
  readonly #parts: PushCodecsParts;

  constructor(options: PushCodecsOptions, parts: PushCodecsParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /**
   * @param earlier what was published before, of a push that goes on without its publisher
   * @throws {GatewayError} INVALID_REQUEST for a codec that is never sent
   */
  rulesFor(request: Request, earlier: PublishedCodecs = {}): CodecRules {
    const { memory, onFallback, video, audio, plainBecause, otherAudio, clipCodecs } = this.#options;
    for (const field of ['videoCodec', 'audioCodec'] as const)
      if (request[field] === 'source' && plainBecause !== undefined)
        throw new GatewayError(
          'INVALID_REQUEST',
          `${field} must not be "source": ${plainBecause}. Send "auto", or leave it out.`,
        );
    const { streamName, standby } = request;
    const transcodes = asksForTranscoding(encodeProfile(request, true, otherAudio));
    const own: Omit<OwnFacts, 'published'> = {
      video: request.videoCodec ?? video,
      audio: request.audioCodec ?? audio,
      plainBecause,
      otherAudio,
      transcodes,
      ...(standby && standby.source !== 'none' && { standby: clipCodecs }),
    };
    let published = earlier;
    return {
      own: () => ({ ...own, published: (published = publishedNow(this.#parts.registry.find(streamName), published)) }),
      platformOf: (destination) => this.#platformOf(request, destination),
      memory,
      watch: (listener) => watchPublishers(this.#parts.registry, streamName, listener),
      onFallback,
    };
  }

  /**
   * The codecs before the server has answered, or for its answer.
   *
   * @throws {GatewayError} NOT_IMPLEMENTED if the push asks for what the gateway cannot send
   */
  async decide(rules: CodecRules, destination: Destination, server?: ServerCodecs): Promise<CodecDecision> {
    const host = await rules.memory.recall(destination);
    const decision = chooseCodecs({
      ...rules.own(),
      platform: rules.platformOf(destination),
      host,
      dropped: new Set(),
      server,
    });
    if (decision.refused !== undefined && !server)
      throw new GatewayError(
        'NOT_IMPLEMENTED',
        `The stream cannot be pushed as it is published: ${decision.refused}. Push without a standby picture, or with videoCodec "auto".`,
      );
    return decision;
  }

  /** What `connect` would announce. */
  async extras(rules: CodecRules, destination: Destination): Promise<ConnectExtras> {
    const { failsOnExtras } = await rules.memory.recall(destination);
    const own = rules.own();
    return failsOnExtras || own.plainBecause !== undefined ? NO_EXTRAS : codecExtras(mayPass(own));
  }

  #platformOf(request: StartRequest, destination: Destination): CodecFacts['platform'] {
    const platform = this.#parts.platforms.of(request, destination);
    if (!platform) return undefined;
    const { name, codecs } = platform;
    return { name, takes: codecs?.takes.map((codec) => (NAMES as Readonly<Record<string, string>>)[codec] ?? codec) };
  }
}

/** What is published, or was before the publisher was lost. */
function publishedNow(stream: LiveStream | undefined, before: PublishedCodecs): PublishedCodecs {
  const publisher = stream?.publisher;
  if (publisher) return { video: publisher.video?.codec, audio: publisher.audio?.codec };
  return before.video === undefined && stream ? { ...before, video: stream.videoCodec } : before;
}

/** Calls the listener whenever a stream of a name has a publisher. */
function watchPublishers(registry: StreamRegistry, name: string, listener: () => void): () => void {
  let stream: LiveStream | undefined;
  const follow = (next: LiveStream | undefined): void => {
    stream?.off('published', listener);
    stream = next;
    stream?.on('published', listener);
  };
  const onStarted = (started: LiveStream): void => {
    if (started.name !== name) return;
    follow(started);
    listener();
  };
  follow(registry.find(name));
  registry.on('started', onStarted);
  return () => {
    registry.off('started', onStarted);
    follow(undefined);
  };
}
