import { z } from 'zod';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ClientCommand, RtmpServerConnection } from '../../rtmp/server-connection.ts';
import type { SharedObjectEvent, SharedObjectMessage } from '../../rtmp/shared-object-message.ts';
import type { RoomEvent, RoomMember } from '../room-client.ts';
import { toAmf, toJson } from './amf-json.ts';
import { enter, type Entrance, type RoomClient } from './enter.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { messageOf, operationOf } from './rtmp-objects.ts';
import { DoorClient } from './door-client.ts';
import { scopeOf } from './scope-url.ts';
import { guarded, inBackground } from '../../runtime/in-background.ts';
import { RtmpError } from '../../rtmp/rtmp-error.ts';

export interface RtmpClientOptions extends Entrance {
  /** Messages of one client. */
  readonly rate: TokenBucketOptions;
  readonly connection: RtmpServerConnection;
  readonly ip: string;
  readonly rpc?: RpcCallout | undefined;
  readonly logger: Logger;
}

/** What `connect` says. Other fields are ignored. */
const ConnectSchema = z.object({
  app: z.string().min(1).max(2048),
  flashVer: z.string().max(256).optional().catch(undefined),
});

/** Commands about media, which encoders and players send without waiting for their answers. */
const MEDIA_COMMANDS: ReadonlySet<string> = new Set([
  'createStream',
  'deleteStream',
  'closeStream',
  'releaseStream',
  'FCPublish',
  'FCUnpublish',
  'FCSubscribe',
  'getStreamLength',
  'receiveAudio',
  'receiveVideo',
  'pause',
  'seek',
  '_checkbw',
  '_result',
  '_error',
  'onStatus',
]);
const NO_MEDIA =
  'This port takes no media, only shared objects and calls. Publish and play by WebRTC: see WHIP and WHEP in the documentation.';
/** The only message stream, for clients that insist on one before they publish. */
const STREAM_ID = 1;
/** Milliseconds in which a client can read why it is refused. */
const CLOSE_GRACE_MS = 500;

/** A client of the RTMP door. */
export class RtmpClient {
  readonly #options: RtmpClientOptions;
  readonly #client: DoorClient;
  #connecting = false;

  constructor(options: RtmpClientOptions) {
    this.#options = options;
    const { connection, rate, rpc } = options;
    this.#client = new DoorClient({ rate, rpc, end: (reason) => this.end(reason) });
    const abort = (error: unknown): void => connection.abort(new RtmpError('protocol', toGatewayError(error).message));
    connection.on(
      'message',
      guarded(abort, () => void this.#client.count()),
    );
    connection.on(
      'command',
      guarded(abort, (command: ClientCommand) => this.#take(command)),
    );
    connection.on(
      'sharedObject',
      // Flash clients send `use` right after `connect`, without waiting for its answer.
      guarded(abort, (message: SharedObjectMessage) => this.#client.whenMember(() => this.#takeObject(message))),
    );
    connection.on(
      'media',
      guarded(abort, () => this.#refuseMedia(STREAM_ID, 'NetStream.Publish.Denied')),
    );
    connection.on(
      'closed',
      guarded(abort, () => this.#client.close()),
    );
  }

  /** Whether the client has become a member. */
  get joined(): boolean {
    return this.#client.member !== undefined;
  }

  /** Ends the connection with a reason. Idempotent. */
  end(reason: GatewayError): void {
    if (this.#client.isOver) return;
    const { connection } = this.#options;
    const status = { level: 'error', code: 'NetConnection.Connect.Closed', description: reason.message };
    connection.sendCommand(0, 'onStatus', 0, null, status);
    connection.end(CLOSE_GRACE_MS);
  }

  #take(command: ClientCommand): void {
    const { name, streamId, transaction } = command;
    const { connection } = this.#options;
    switch (name) {
      case 'connect':
        return inBackground(this.#connect(command), () => connection.end(CLOSE_GRACE_MS));
      case 'publish':
        return this.#refuseMedia(streamId, 'NetStream.Publish.Denied');
      case 'play':
      case 'play2':
        return this.#refuseMedia(streamId, 'NetStream.Play.Failed');
      case 'createStream':
        return connection.sendCommand(0, '_result', transaction, null, STREAM_ID);
      default:
        if (!MEDIA_COMMANDS.has(name)) this.#client.whenMember(() => inBackground(this.#call(command)));
    }
  }

  async #connect({ values, transaction }: ClientCommand): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    const { connection, ip, logger } = this.#options;
    let member: RoomMember;
    try {
      const client = clientOf(values[0], ip);
      member = await enter(this.#options, client, (event) => this.#tell(event));
    } catch (error) {
      const { code, message } = toGatewayError(error);
      logger.info({ code, reason: message }, 'RTMP client refused');
      const description = { level: 'error', code: 'NetConnection.Connect.Rejected', description: message };
      connection.sendCommand(0, '_error', transaction, null, description);
      return connection.end(CLOSE_GRACE_MS);
    }
    if (!this.#client.enter(member)) return;
    logger.debug({ scope: member.scope }, 'RTMP client joined');
    connection.setUp();
    connection.sendCommand(
      0,
      '_result',
      transaction,
      { fmsVer: 'FMS/3,5,7,7009', capabilities: 31 },
      { level: 'status', code: 'NetConnection.Connect.Success', description: 'Connected', objectEncoding: 0 },
    );
    this.#client.begin();
  }

  #takeObject({ name, persistent, events }: SharedObjectMessage): void {
    for (const event of events) {
      if (this.#client.isOver) return;
      this.#run(name, persistent, event)?.catch((error: unknown) => this.#fail(name, persistent, event, error));
    }
  }

  #run(name: string, persistent: boolean, event: SharedObjectEvent): Promise<void> | undefined {
    const member = this.#client.member!;
    if (event.type === 'use') return member.connectObject(name, persistent);
    if (event.type === 'release') return void member.disconnectObject(name);
    const operation = operationOf(event);
    return operation && member.change(name, operation);
  }

  /** A refused change is told as a status of the object, as FMS does. */
  #fail(name: string, persistent: boolean, event: SharedObjectEvent, error: unknown): void {
    const { connection, logger } = this.#options;
    const { code, message } = toGatewayError(error);
    if (code === 'INTERNAL') logger.error({ err: error }, 'a shared object message could not be processed');
    else logger.debug({ code, reason: message }, 'change of a shared object refused');
    if (this.#client.isOver) return;
    const status = event.type === 'use' ? 'SharedObject.NoReadAccess' : 'SharedObject.NoWriteAccess';
    connection.sendSharedObject({
      name,
      version: 0,
      persistent,
      events: [{ type: 'status', code: status, level: 'error' }],
    });
    connection.sendCommand(0, 'onStatus', 0, null, { level: 'error', code: status, description: message });
  }

  #tell(event: RoomEvent): void {
    if (this.#client.isOver) return;
    const { connection } = this.#options;
    // Before the answer to `connect`, clients expect nothing.
    if (this.#client.isWaiting && event.type !== 'closed') return this.#client.whenMember(() => this.#tell(event));
    switch (event.type) {
      case 'text':
        return connection.sendCommand(0, 'onText', 0, null, event.text);
      case 'state':
      case 'changes':
        return this.#sendObject(event);
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
        return this.end(event.reason);
    }
  }

  /** A value that AMF0 cannot carry must not harm the other members, who are told after this one. */
  #sendObject(event: Extract<RoomEvent, { type: 'state' | 'changes' }>): void {
    try {
      this.#options.connection.sendSharedObject(messageOf(event, this.#client.member!.id));
    } catch (error) {
      this.#options.logger.info({ err: error }, 'a value cannot be sent by RTMP');
      this.end(new GatewayError('INVALID_REQUEST', 'The object has a value that RTMP cannot carry.'));
    }
  }

  #refuseMedia(streamId: number, code: string): void {
    if (this.#client.isOver) return;
    const { connection, logger } = this.#options;
    logger.info({ code }, 'RTMP client asks for media');
    connection.sendCommand(streamId, 'onStatus', 0, null, { level: 'error', code, description: NO_MEDIA });
    connection.end(CLOSE_GRACE_MS);
  }

  /** `text` sends to the scope; everything else is a call to the application server. */
  async #call({ name, transaction, values: [, ...values] }: ClientCommand): Promise<void> {
    const { connection } = this.#options;
    try {
      const result = await this.#answer(name, values.map(toJson));
      if (transaction !== 0 && !this.#client.isOver)
        connection.sendCommand(0, '_result', transaction, null, toAmf(result));
    } catch (error) {
      if (transaction === 0 || this.#client.isOver) return;
      const description = {
        level: 'error',
        code: 'NetConnection.Call.Failed',
        description: toGatewayError(error).message,
      };
      connection.sendCommand(0, '_error', transaction, null, description);
    }
  }

  async #answer(method: string, values: ReturnType<typeof toJson>[]) {
    if (method === 'text') {
      const [text] = values;
      if (typeof text !== 'string') throw new GatewayError('INVALID_REQUEST', 'text needs a string.');
      await this.#client.member!.sendText(text);
      return null;
    }
    const client = { ip: this.#options.ip, protocol: 'rtmp' };
    return (await this.#client.call({ method, arguments: values, client })) as ReturnType<typeof toJson>;
  }
}

/** @throws {GatewayError} INVALID_REQUEST */
function clientOf(connect: unknown, ip: string): RoomClient {
  const fields = ConnectSchema.safeParse(connect);
  if (!fields.success)
    throw new GatewayError('INVALID_REQUEST', 'connect must name an app of at most 2048 characters.');
  const { app, flashVer } = fields.data;
  const [path = '', ...rest] = app.split('?');
  const query = new URLSearchParams(rest.join('?'));
  return { scope: scopeOf(path, query.get('scope')), door: 'rtmp', ip, userAgent: flashVer, query };
}
