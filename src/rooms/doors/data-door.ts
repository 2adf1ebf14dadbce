import type { Principal } from '../../access/authorizer.ts';
import type { TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import type { DataChannel } from '../../streams/data-channel.ts';
import type { StreamMessage } from '../../streams/live-stream.ts';
import { enterAs, type Entrance } from './enter.ts';
import { JsonClient, type Announce } from './json-client.ts';
import { streamFrame } from './json-frames.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { scopeOf } from './scope-url.ts';
import { guarded } from '../../runtime/in-background.ts';

export interface DataDoorOptions extends Entrance {
  /** Messages of one client. */
  readonly rate: TokenBucketOptions;
  readonly rpc?: RpcCallout | undefined;
  readonly logger: Logger;
}

/** A publication or a player, whose client has a data channel. */
export interface DataClient {
  readonly channel: DataChannel;
  /** The scope is that of the application, or the one of `?scope=` below it. */
  readonly application: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly principal: Principal;
  readonly ip: string;
  readonly userAgent?: string | undefined;
  readonly protocol: 'whip' | 'whep';
  readonly streamName: string;
  /** For publications: sends to the players of the stream. */
  readonly announce?: Announce;
}

/** Data channels of WHIP and WHEP, which carry the same frames as WebSockets. */
export class DataDoor {
  readonly #options: DataDoorOptions;
  #size = 0;

  constructor(options: DataDoorOptions) {
    this.#options = options;
  }

  /** Members over data channels. */
  get size(): number {
    return this.#size;
  }

  /** Serves a data channel until it ends. */
  serve(client: DataClient): void {
    const { channel } = client;
    channel.once(
      'open',
      guarded(
        () => channel.close(),
        () => this.#open(client),
      ),
    );
  }

  #open({ channel, application, query, principal, ip, userAgent, protocol, streamName, announce }: DataClient): void {
    const { rpc, rate } = this.#options;
    const logger = this.#options.logger.child({ streamName });
    const { scope } = query;
    this.#size++;
    const client = new JsonClient({
      join: async (receive) =>
        enterAs(this.#options, {
          scope: scopeOf(encodeURIComponent(application), typeof scope === 'string' ? scope : null),
          door: 'datachannel',
          principal,
          ip,
          receive,
        }),
      send: (text) => channel.send(text),
      refuse: (reason) => {
        logger.info({ code: reason.code, reason: reason.message }, 'data channel refused');
        end();
      },
      rpc,
      announce,
      client: { ip, userAgent, protocol, stream: streamName },
      rate,
      greet: false,
      logger,
    });
    const end = (): void => {
      channel.off('closed', end);
      channel.off('message', receive);
      channel.close();
      client.close();
      this.#size--;
    };
    const receive = guarded(
      () => end(),
      (text: string) => client.receive(text),
    );
    channel.on('message', receive);
    channel.once('closed', end);
  }
}

/** Passes a message of the publisher on to a player. */
export const tellPlayer = (channel: DataChannel, { type, payload }: StreamMessage): void =>
  channel.send(streamFrame(type, payload));
