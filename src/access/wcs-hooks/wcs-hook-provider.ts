import { GatewayError } from '../../errors.ts';
import { AllowedStreams } from '../allowed-streams.ts';
import type { AnswerSchemas } from '../answer-schemas.ts';
import type {
  AccessProvider,
  Action,
  Credentials,
  Door,
  Grant,
  Principal,
  Resource,
  StreamRequest,
} from '../authorizer.ts';
import { connectBody, streamBody, withCredentials, type HookBody } from './hook-bodies.ts';
import type { WcsHooks } from './wcs-hooks.ts';

export interface WcsHookProviderOptions {
  readonly hooks: WcsHooks;
  /** The doors whose clients are asked about. */
  readonly doors: readonly Door[];
  /** Without them an answer may not change `name`. */
  readonly schemas?: AnswerSchemas | undefined;
}

const ID = 'wcs_hooks_url';
const ACTIONS: ReadonlySet<Action> = new Set(['publish', 'play', 'push', 'join']);
/** Of a connection, these identify the client to the gateway. */
const KEPT: ReadonlySet<string> = new Set(['authToken', 'status', 'clientAddress']);

/** WCS's REST hooks as a provider: an application server decides about connections, publishers and players. */
export class WcsHookProvider implements AccessProvider {
  readonly #options: WcsHookProviderOptions;
  readonly #credentials = new WeakMap<Principal, Credentials>();
  readonly #allowed = new AllowedStreams();

  constructor(options: WcsHookProviderOptions) {
    this.#options = options;
  }

  async identify(credentials: Credentials): Promise<Principal | undefined> {
    const { door, connection, connectedAs } = credentials;
    if (!this.#options.doors.includes(door)) return undefined;
    if (door !== 'wcs') return this.#remember({ id: ID, actions: ACTIONS }, credentials);
    // The token of a stream is for the application server, which gets it in `custom`.
    if (!connection) return connectedAs && this.#credentials.has(connectedAs) ? connectedAs : undefined;
    const { hooks } = this.#options;
    const { config, changed } = await hooks.connect(connectBody(hooks.nodeId, connection, credentials));
    const principal = this.#remember({ id: ID, actions: ACTIONS, connection: withoutKept(changed) }, credentials);
    hooks.accept(principal, config);
    return principal;
  }

  async authorize(principal: Principal, action: Action, { stream, request }: Resource): Promise<Grant> {
    const credentials = this.#credentials.get(principal)!;
    // A push belongs to a publication that was allowed, and the sessions of WHIP and WHEP have URLs that cannot be
    // guessed.
    if (action === 'push' || stream === undefined) return {};
    if (!request) {
      if (credentials.door === 'wcs') this.#allowed.check(principal, stream);
      return {};
    }
    const changed = await this.#decide(action === 'publish', stream, request, credentials);
    const streamName = this.#newName(changed, stream);
    this.#allowed.add(principal, stream);
    if (streamName === undefined) return {};
    this.#allowed.add(principal, streamName);
    return { streamName };
  }

  async close(): Promise<void> {
    await this.#options.hooks.close();
  }

  #remember(principal: Principal, credentials: Credentials): Principal {
    this.#credentials.set(principal, credentials);
    return principal;
  }

  #decide(published: boolean, name: string, request: StreamRequest, credentials: Credentials): Promise<HookBody> {
    const { hooks } = this.#options;
    const { door, token, username, password } = credentials;
    const custom =
      door === 'wcs'
        ? request.custom
        : withCredentials(request.custom, { token: token?.reveal(), username, password: password?.reveal() });
    const body = streamBody(hooks.nodeId, request, { name, published, status: 'PENDING' }, custom);
    return hooks.decide(published ? 'publishStream' : 'playStream', request.sessionId, body);
  }

  #newName({ name }: HookBody, asked: string): string | undefined {
    if (name === undefined || name === asked) return undefined;
    const parsed = this.#options.schemas?.streamName.safeParse(name);
    if (parsed?.success) return parsed.data;
    throw new GatewayError(
      'ACCESS_UNAVAILABLE',
      'The application server (wcs_hooks_url) answers a name that is not a stream name, so access is denied.',
    );
  }
}

const withoutKept = (changed: HookBody): HookBody =>
  Object.fromEntries(Object.entries(changed).filter(([field]) => !KEPT.has(field)));
