import { SettingsSchema } from '../../src/config/schema.ts';
import { createLogger } from '../../src/observe/logger.ts';
import { digestResponse } from '../../src/sip/digest.ts';
import { parseNameAddr, tryParseUri } from '../../src/sip/message/address.ts';
import { respond, type ResponseOptions, type SipRequest } from '../../src/sip/message/message.ts';
import { parseDigestFields } from '../../src/sip/message/text.ts';
import { Registrations, type RegistrationView } from '../../src/sip/registration/registrations.ts';
import type { Flow } from '../../src/sip/transport/flow.ts';
import { PeerAddresses } from '../../src/sip/transport/peer-addresses.ts';
import { flowTo, openHost, SipNetwork } from './sip-network.ts';

export const GATEWAY = '10.0.0.1';
export const REGISTRAR = '10.0.0.2';
export const MINUTE = 60_000;
const PASSWORD = 'pw-secret';

export type Reply = (status: number, options?: ResponseOptions) => void;
/** @param n of the REGISTERs so far, from 1 */
export type Script = (request: SipRequest, reply: Reply, n: number) => void;

export const challenge = (nonce = 'n1', more = ''): ResponseOptions => ({
  toTag: 'r',
  headers: { 'www-authenticate': `Digest realm="pbx", nonce="${nonce}", algorithm=MD5${more}` },
});

/** Grants what is asked for, or `expiresS`. */
export const grant = (request: SipRequest, expiresS = Number(request.get('expires'))): ResponseOptions => ({
  toTag: 'r',
  headers: { contact: [`<sip:other@10.0.0.9>;expires=7`, `${request.get('contact')};expires=${expiresS}`] },
});

export const grantAll: Script = (request, reply) => reply(200, grant(request));

/** User part of the Contact. */
export const contactUser = (request: SipRequest): string =>
  tryParseUri(parseNameAddr(request.get('contact')).uri)?.user ?? '';

/** A registrar that asks for credentials and checks them. */
export const withDigest =
  (expiresS?: number): Script =>
  (request, reply) => {
    const fields = parseDigestFields(request.get('authorization') ?? '');
    if (!fields) return reply(401, challenge());
    const { uri, method } = request;
    const input = { username: '1001', realm: 'pbx', password: PASSWORD, nonce: 'n1', method, uri };
    const isRight = fields.get('response') === digestResponse('md5', input);
    if (isRight) reply(200, grant(request, request.get('expires') === '0' ? 0 : expiresS));
    else reply(401, challenge('n2'));
  };

export interface FakeRegistrarOptions {
  readonly script?: Script;
  /** Of `sip_register`. */
  readonly accounts?: string;
  readonly random?: number;
  /** Where the registrar is; may be changed. */
  readonly places?: { flows: readonly Flow[] | Error };
  /** As `sip_nat`. */
  readonly learn?: (peer: string, address: string) => void;
  readonly localOf?: () => { host: string; port: number };
}

/** The registrations of a gateway in a simulated network, and a registrar that answers as `script` says. */
export function startRegistrations({
  script = withDigest(),
  accounts = `1001:${PASSWORD}@sip.test;stream=in`,
  random = 0,
  places = { flows: [flowTo(REGISTRAR)] },
  learn = () => undefined,
  localOf,
}: FakeRegistrarOptions = {}) {
  const network = new SipNetwork();
  const { clock } = network;
  const { wire, layer } = openHost(network, GATEWAY);
  const got: { readonly request: SipRequest; readonly at: number; readonly to: string }[] = [];
  const play = (address: string, script: Script): void => {
    const registrar = network.wire(address);
    registrar.on('message', (message, flow) => {
      if (message.kind !== 'request') return;
      got.push({ request: message, at: clock.now(), to: address });
      script(message, (status, more) => registrar.send(respond(message, status, more).toBuffer(), flow), got.length);
    });
  };
  play(REGISTRAR, script);
  const peers = new PeerAddresses();
  const keptAlive: number[] = [];
  const events: RegistrationView[] = [];
  let log = '';
  const registrations = new Registrations({
    accounts: SettingsSchema.parse({ sip_register: accounts }).sip_register,
    transport: 'udp',
    expiresS: 300,
    layer,
    clock,
    random: () => random,
    policy: {
      resolveAll: async () => {
        if (places.flows instanceof Error) throw places.flows;
        return places.flows;
      },
    },
    dialog: { userAgent: 'test', localOf: localOf ?? (() => wire.localOf()), permits: () => true },
    locals: { find: async () => GATEWAY, learn },
    hold: peers.hold.bind(peers),
    keepAlive: () => keptAlive.push(clock.now()),
    logger: createLogger(
      { log_level: 'info', log_format: 'json' },
      { destination: { write: (line) => (log += line) } },
    ),
  });
  wire.on('failed', (flow) => registrations.wireFailed(flow));
  registrations.on('registration', (view) => events.push(view));
  registrations.start();
  return { network, clock, wire, layer, peers, registrations, got, keptAlive, events, play, log: () => log };
}
