import { GatewayError, toGatewayError } from '../../errors.ts';
import type { TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import type { StreamMessage } from '../../streams/live-stream.ts';
import type { ObjectOperation, RoomEvent, RoomMember } from '../room-client.ts';
import { DoorClient } from './door-client.ts';
import * as frames from './json-frames.ts';
import type { ClientFrame } from './json-frames.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { inBackground } from '../../runtime/in-background.ts';

/**
 * Sends a message to the players of the stream that the client publishes.
 *
 * @throws {GatewayError} if the client may not
 */
export type Announce = (message: StreamMessage) => Promise<void>;

export interface JsonClientOptions {
  /** Becomes a member. Events may arrive before the promise resolves. */
  readonly join: (receive: (event: RoomEvent) => void) => Promise<RoomMember>;
  readonly send: (text: string) => void;
  /** Ends the connection: the client was refused, or is no longer a member. */
  readonly refuse: (reason: GatewayError) => void;
  /** Answers calls; without it they are refused. */
  readonly rpc?: RpcCallout | undefined;
  /** Undefined for clients that do not publish over this connection. */
  readonly announce?: Announce | undefined;
  /** Describes the client to the server that answers its calls. */
  readonly client: Readonly<Record<string, unknown>>;
  /** Messages of the client. */
  readonly rate: TokenBucketOptions;
  /** Says that the connection is accepted. */
  readonly greet: boolean;
  readonly logger: Logger;
}

/** A client that speaks JSON, whatever carries its frames: WebSockets or data channels. */
export class JsonClient {
  readonly #options: JsonClientOptions;
  readonly #client: DoorClient;

  constructor(options: JsonClientOptions) {
    this.#options = options;
    const { rate, rpc } = options;
    this.#client = new DoorClient({ rate, rpc, end: (reason) => this.#refuse(reason) });
    inBackground(this.#join(), (error) => this.#refuse(toGatewayError(error)));
  }

  /** A frame of the client. Never throws. */
  receive(text: string): void {
    if (!this.#client.isOver && this.#client.count()) this.#client.whenMember(() => this.#take(text));
  }

  /** The connection has ended. Idempotent. */
  close(): void {
    this.#client.close();
  }

  async #join(): Promise<void> {
    const { join, send, greet } = this.#options;
    try {
      if (!this.#client.enter(await join((event) => this.#tell(event)))) return;
    } catch (error) {
      return this.#refuse(toGatewayError(error));
    }
    if (greet) send(frames.connectedFrame());
    this.#client.begin();
  }

  #refuse(reason: GatewayError): void {
    if (this.#client.isOver) return;
    this.#options.send(frames.errorFrame(reason));
    this.close();
    this.#options.refuse(reason);
  }

  #tell(event: RoomEvent): void {
    if (this.#client.isOver) return;
    const { send } = this.#options;
    switch (event.type) {
      case 'text':
        return send(textOf(event));
      case 'state':
        send(frames.statusFrame(event.object, 'Connect', true));
        return send(frames.stateFrame(event.object, event.properties));
      case 'changes':
        for (const frame of frames.changeFrames(event.object, event.changes)) send(frame);
        return;
      // These clients have no login, so they are told of nobody.
      case 'message':
      case 'members':
      case 'joined':
      case 'left':
      case 'published':
      case 'unpublished':
      case 'failed':
        return;
      case 'closed':
        return this.#refuse(event.reason);
    }
  }

  #take(text: string): void {
    const parsed = frames.parseFrame(text);
    if (parsed.type === 'malformed')
      return this.#options.send(frames.errorFrame({ code: 'INVALID_REQUEST', message: parsed.reason }, parsed.id));
    const done = parsed.type === 'text' ? this.#client.member!.sendText(parsed.text) : this.#run(parsed.frame);
    done?.catch((error: unknown) => this.#fail(error, parsed.type === 'frame' ? parsed.frame : undefined));
  }

  #run({ type, id, content }: ClientFrame): Promise<void> | undefined {
    const member = this.#client.member!;
    const { send } = this.#options;
    switch (type) {
      case 'sharedObjectGetRemote':
        // Objects exist on demand, so there is nothing to look for.
        return void send(frames.statusFrame(content.name, 'GetRemote', true));
      case 'sharedObjectConnect':
        return member.connectObject(content.name, content.persistent);
      case 'sharedObjectClose':
        member.disconnectObject(content.name);
        return void send(frames.statusFrame(content.name, 'Disconnect', true));
      case 'sharedObjectSetProperty':
        return member.change(content.name, settingOf(content));
      case 'sharedObjectClear':
        return member.change(content.name, { type: 'clear' });
      case 'sharedObjectSend': {
        const { name, method, message } = content;
        return member.change(name, { type: 'send', method, args: message === undefined ? [] : [message] });
      }
      case 'send':
        return this.#announce([{ type: content.method, payload: content.data }]);
      case 'mute':
        return this.#announce(muteNotices(content));
      case 'callAdapter':
        return this.#call(content.method, content.arguments, id);
    }
  }

  async #announce(messages: readonly StreamMessage[]): Promise<void> {
    const { announce } = this.#options;
    if (!announce)
      throw new GatewayError(
        'FORBIDDEN',
        'This connection publishes no stream: use the data channel of the publication, or add ?stream=NAME to the URL.',
      );
    for (const message of messages) await announce(message);
  }

  async #call(method: string, args: unknown, id: string | number | undefined): Promise<void> {
    const { send, client } = this.#options;
    const answer = await this.#client.call({ method, arguments: args ?? null, client }).then(
      (data) => frames.callAnswer(id, data),
      (error: unknown) => frames.callFailure(id, toGatewayError(error)),
    );
    if (!this.#client.isOver) send(answer);
  }

  #fail(error: unknown, frame: ClientFrame | undefined): void {
    if (this.#client.isOver) return;
    const reason = toGatewayError(error);
    const name = frame && 'name' in frame.content ? frame.content.name : undefined;
    if (reason.code === 'INTERNAL') this.#options.logger.error({ err: error }, 'a frame could not be processed');
    if (frame?.type === 'sharedObjectConnect')
      return this.#options.send(frames.statusFrame(frame.content.name, 'Connect', false, reason.message));
    this.#options.send(frames.errorFrame(reason, frame?.id, name));
  }
}

function settingOf({
  key,
  value,
}: Extract<ClientFrame, { type: 'sharedObjectSetProperty' }>['content']): ObjectOperation {
  return value === undefined || value === null ? { type: 'delete', key } : { type: 'set', key, value };
}

/** The names of the WCS Web SDK, which its players know. */
function muteNotices({ muteAudio, muteVideo }: Extract<ClientFrame, { type: 'mute' }>['content']): StreamMessage[] {
  return [
    ...(muteAudio === undefined ? [] : [{ type: muteAudio ? 'audioMuted' : 'audioUnmuted' }]),
    ...(muteVideo === undefined ? [] : [{ type: muteVideo ? 'videoMuted' : 'videoUnmuted' }]),
  ];
}

/** Of each text, which all clients get, once. */
const texts = new WeakMap<RoomEvent, string>();

function textOf(event: Extract<RoomEvent, { type: 'text' }>): string {
  const frame = texts.get(event) ?? frames.textFrame(event.text);
  texts.set(event, frame);
  return frame;
}
