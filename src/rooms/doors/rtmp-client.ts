import { z } from 'zod';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { TokenBucket, type TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ClientCommand, RtmpServerConnection } from '../../rtmp/server-connection.ts';
import type { SharedObjectEvent, SharedObjectMessage } from '../../rtmp/shared-object-message.ts';
import type { RoomEvent, RoomMember } from '../room-client.ts';
import { toAmf, toJson } from './amf-json.ts';
import { enter, type Entrance, type RoomClient } from './enter.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { messageOf, operationOf } from './rtmp-objects.ts';
import { tooFast } from './too-fast.ts';
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
/** Shared object messages and calls that may wait until the client is a member. */
const MAX_WAITING = 64;
const MAX_CALLS = 8;

/** A client of the RTMP door. */
export class RtmpClient {
  readonly #options: RtmpClientOptions;
  readonly #bucket: TokenBucket;
  #connecting = false;
  #member: RoomMember | undefined;
  #waiting: (() => void)[] | undefined = [];
  #calls = 0;
  #over = false;

  constructor(options: RtmpClientOptions) {
    this.#options = options;
    const { connection } = options;
    this.#bucket = new TokenBucket(options.rate);
    const abort = (error: unknown): void => connection.abort(new RtmpError('protocol', toGatewayError(error).message));
    connection.on(
      'message',
      guarded(abort, () => {
        if (!this.#bucket.take(performance.now())) this.end(tooFast());
      }),
    );
    connection.on(
      'command',
      guarded(abort, (command: ClientCommand) => this.#take(command)),
    );
    connection.on(
      'sharedObject',
      guarded(abort, (message: SharedObjectMessage) => this.#whenMember(() => this.#takeObject(message))),
    );
    connection.on(
      'media',
      guarded(abort, () => this.#refuseMedia(STREAM_ID, 'NetStream.Publish.Denied')),
    );
    connection.on(
      'closed',
      guarded(abort, () => this.#close()),
    );
  }

  /** Whether the client has become a member. */
  get joined(): boolean {
    return this.#member !== undefined;
  }

  /** Ends the connection with a reason. Idempotent. */
  end(reason: GatewayError): void {
    if (this.#over) return;
    const { connection } = this.#options;
    const status = { level: 'error', code: 'NetConnection.Connect.Closed', description: reason.message };
    connection.sendCommand(0, 'onStatus', 0, null, status);
    connection.end(CLOSE_GRACE_MS);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = undefined;
    this.#member?.leave();
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
        if (!MEDIA_COMMANDS.has(name)) this.#whenMember(() => inBackground(this.#call(command)));
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
    // It has left meanwhile.
    if (this.#over) return member.leave();
    this.#member = member;
    logger.debug({ scope: member.scope }, 'RTMP client joined');
    connection.setUp();
    connection.sendCommand(
      0,
      '_result',
      transaction,
      { fmsVer: 'FMS/3,5,7,7009', capabilities: 31 },
      { level: 'status', code: 'NetConnection.Connect.Success', description: 'Connected', objectEncoding: 0 },
    );
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const run of waiting) if (!this.#over) run();
  }

  /** Flash clients send `use` right after `connect`, without waiting for its answer. */
  #whenMember(run: () => void): void {
    if (this.#over) return;
    if (!this.#waiting) return run();
    this.#waiting.push(run);
    if (this.#waiting.length > MAX_WAITING)
      this.end(new GatewayError('LIMIT_REACHED', 'Too many messages before the connection was accepted.'));
  }

  #takeObject({ name, persistent, events }: SharedObjectMessage): void {
    for (const event of events) {
      if (this.#over) return;
      this.#run(name, persistent, event)?.catch((error: unknown) => this.#fail(name, persistent, event, error));
    }
  }

  #run(name: string, persistent: boolean, event: SharedObjectEvent): Promise<void> | undefined {
    const member = this.#member!;
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
    if (this.#over) return;
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
    if (this.#over) return;
    const { connection } = this.#options;
    // Before the answer to `connect`, clients expect nothing.
    if (this.#waiting && event.type !== 'closed') return this.#whenMember(() => this.#tell(event));
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
      this.#options.connection.sendSharedObject(messageOf(event, this.#member!.id));
    } catch (error) {
      this.#options.logger.info({ err: error }, 'a value cannot be sent by RTMP');
      this.end(new GatewayError('INVALID_REQUEST', 'The object has a value that RTMP cannot carry.'));
    }
  }

  #refuseMedia(streamId: number, code: string): void {
    if (this.#over) return;
    const { connection, logger } = this.#options;
    logger.info({ code }, 'RTMP client asks for media');
    connection.sendCommand(streamId, 'onStatus', 0, null, { level: 'error', code, description: NO_MEDIA });
    connection.end(CLOSE_GRACE_MS);
  }

  /** `text` sends to the scope; everything else is a call to the application server. */
  async #call({ name, transaction, values: [, ...values] }: ClientCommand): Promise<void> {
    const { connection, rpc, ip } = this.#options;
    try {
      const result = await this.#answer(name, values.map(toJson), rpc, ip);
      if (transaction !== 0 && !this.#over) connection.sendCommand(0, '_result', transaction, null, toAmf(result));
    } catch (error) {
      if (transaction === 0 || this.#over) return;
      const description = {
        level: 'error',
        code: 'NetConnection.Call.Failed',
        description: toGatewayError(error).message,
      };
      connection.sendCommand(0, '_error', transaction, null, description);
    }
  }

  async #answer(method: string, values: ReturnType<typeof toJson>[], rpc: RpcCallout | undefined, ip: string) {
    const member = this.#member!;
    if (method === 'text') {
      const [text] = values;
      if (typeof text !== 'string') throw new GatewayError('INVALID_REQUEST', 'text needs a string.');
      await member.sendText(text);
      return null;
    }
    if (!rpc) throw new GatewayError('NOT_IMPLEMENTED', 'Calls need the setting rpc_url.');
    if (this.#calls >= MAX_CALLS) throw new GatewayError('LIMIT_REACHED', `More than ${MAX_CALLS} calls at once.`);
    this.#calls++;
    try {
      const client = { ip, protocol: 'rtmp' };
      return (await rpc.call({ method, arguments: values, client, scope: member.scope })) as ReturnType<typeof toJson>;
    } finally {
      this.#calls--;
    }
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
