import { isIP } from 'node:net';
import { z } from 'zod';
import { Secret } from '../net/secret.ts';
import { MAX_PORT } from './fields.ts';

/** One entry of `sip_register`: an account that is kept registered. */
export interface RegisteredAccount {
  readonly user: string;
  readonly password: Secret;
  readonly domain: string;
  /** Where the requests go, if it is another host than the domain. */
  readonly proxy: { readonly host: string; readonly port: number | undefined } | undefined;
  /** The stream of its calls. */
  readonly stream: string | undefined;
  readonly transport: 'udp' | 'tcp' | 'tls' | undefined;
}

const MAX_ACCOUNTS = 100;
const FORM = 'user:password@domain[;proxy=host:port][;stream=NAME][;transport=udp|tcp|tls]';
const HOST = /^[\w.-]{1,253}$/;
const USER = /^[A-Za-z0-9\-_.!~*'()&=+$/%#]{1,128}$/;
const STREAM = /^[^\p{Cc}\u2028\u2029]{1,256}$/u;
const PARAMETERS = ['proxy', 'stream', 'transport'] as const;
type Parameter = (typeof PARAMETERS)[number];

/** A comma-separated list of accounts. Messages name the position of an entry, and nothing of its text: it has a password. */
export const registeredAccounts = z.string().transform((text, context): RegisteredAccount[] => {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean);
  const refuse = (message: string): never[] => {
    context.addIssue({ code: 'custom', message });
    return [];
  };
  if (entries.length > MAX_ACCOUNTS) return refuse(`must have at most ${MAX_ACCOUNTS} accounts`);
  return entries.flatMap((entry, index) => {
    const account = readAccount(entry);
    return typeof account === 'string' ? refuse(`is wrong in its entry ${index + 1}: ${account}`) : [account];
  });
});

/** @returns what is wrong with it */
function readAccount(entry: string): RegisteredAccount | string {
  const [address = '', ...parts] = entry.split(';').map((part) => part.trim());
  const at = address.lastIndexOf('@');
  const colon = address.indexOf(':');
  if (colon < 0 || at < colon)
    return `it must be ${FORM}; in the password write , as %2C, ; as %3B, @ as %40 and % as %25`;
  const [user, written, domain] = [address.slice(0, colon), address.slice(colon + 1, at), address.slice(at + 1)];
  if (!USER.test(user)) return "the user must have 1 to 128 letters, digits and -_.!~*'()&=+$/%#";
  const password = decodePassword(written);
  if (password === undefined || password === '' || password.length > 256)
    return 'the password must have 1 to 256 characters, with % written as %25';
  if (/:\d*$/.test(domain) && isIP(domain) === 0) return 'the domain must have no port: write it as ;proxy=host:port';
  if (!HOST.test(domain)) return 'the domain must be a host name or an IPv4 address';
  const parameters = readParameters(parts);
  if (typeof parameters === 'string') return parameters;
  const { proxy, stream, transport } = parameters;
  const server = proxy === undefined ? undefined : readServer(proxy);
  if (proxy !== undefined && !server)
    return 'proxy must be a host name or an IPv4 address, with :port where it is needed';
  if (stream !== undefined && !STREAM.test(stream)) return 'stream must have 1 to 256 characters';
  if (transport !== undefined && !isTransport(transport)) return 'transport must be udp, tcp or tls';
  return { user, password: new Secret(password), domain, proxy: server, stream, transport };
}

function readParameters(parts: readonly string[]): Partial<Record<Parameter, string>> | string {
  const found: Partial<Record<Parameter, string>> = {};
  for (const part of parts.filter(Boolean)) {
    const equals = part.indexOf('=');
    const name = PARAMETERS.find((one) => one === part.slice(0, equals));
    if (!name) return `after the domain there may be ;${PARAMETERS.join('=, ;')}= only; in the password write ; as %3B`;
    if (found[name] !== undefined) return `${name} is given twice`;
    found[name] = part.slice(equals + 1);
  }
  return found;
}

function readServer(text: string): RegisteredAccount['proxy'] {
  const [, host = '', digits] = /^([\w.-]{1,253})(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  return host === '' || port === 0 || (port ?? 1) > MAX_PORT ? undefined : { host, port };
}

const isTransport = (text: string): text is 'udp' | 'tcp' | 'tls' => ['udp', 'tcp', 'tls'].includes(text);

function decodePassword(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
