import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { readPathPrefix } from '../net/path-prefix.ts';

/** Kinds of settings. A file and the environment give text; messages continue after the name of the key. */

export const MAX_PORT = 65535;

export const flag = z.stringbool({ truthy: ['true'], falsy: ['false'], error: 'must be true or false' });

export const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

export const integer = (low: number, high: number) =>
  z.string().transform((text, context) => {
    const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    context.addIssue({ code: 'custom', message: `must be a whole number from ${low} to ${high}` });
    return z.NEVER;
  });

/** 0 lets the system choose a free one. */
export const port = integer(0, MAX_PORT);

/** Empty: none. */
export const optionalPort = z.string().transform((text, context) => {
  if (text === '') return '' as const;
  const parsed = port.safeParse(text);
  if (parsed.success) return parsed.data;
  context.addIssue({ code: 'custom', message: `must be empty or a whole number from 0 to ${MAX_PORT}` });
  return z.NEVER;
});

/** Milliseconds up to a day. */
export const duration = integer(0, 86_400_000);

export const listOf = (isValid: (part: string) => boolean, whatIsAllowed: string) =>
  z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean),
    )
    .refine((parts) => parts.every(isValid), { error: `must be a comma-separated list of ${whatIsAllowed}` });

export const address = z.string().refine((text) => isIP(text) !== 0, 'must be an IPv4 or IPv6 address');

export const optionalAddress = z
  .string()
  .refine((text) => text === '' || isIP(text) !== 0, 'must be an IPv4 or IPv6 address, or empty');

const isHostPattern = (text: string): boolean =>
  /^(?:\*|(?:\*\.)?[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9_])?)$/.test(text);
const isHostRule = (text: string): boolean => isIP(text) !== 0 || ipaddr.isValidCIDR(text) || isHostPattern(text);

const isServerUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return ['http:', 'https:'].includes(protocol) && username + password === '';
};

/** Of an application server. */
export const serverUrl = z.string().refine((text) => text === '' || isServerUrl(text), {
  error: 'must be an http:// or https:// URL without user name and password, or empty',
});

/** Addresses and networks. */
export const networks = listOf(
  (part) => isIP(part) !== 0 || ipaddr.isValidCIDR(part),
  'addresses and networks (10.0.0.0/8)',
);

export const pathPrefix = z.string().transform((text, context) => {
  const prefix = readPathPrefix(text);
  if (prefix === undefined)
    context.addIssue({ code: 'custom', message: 'must be a path of letters, digits and -._~, such as /gateway' });
  return prefix ?? '';
});

export const hostRules = listOf(isHostRule, 'addresses, networks (10.0.0.0/8) and host names (*.example.com)');

const isOrigin = (text: string): boolean =>
  text === '*' || /^https?:\/\/(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.test(text);

/** In lower case, as browsers send them. */
export const origins = listOf(isOrigin, 'origins (https://example.com) or *').transform((parts) =>
  parts.map((origin) => origin.toLowerCase()),
);

/**
 * STUN and TURN URLs of RFC 7064 and RFC 7065; a TURN URL is followed by the user name and the password, separated by
 * spaces.
 */
const iceServer =
  /^(?:(stuns?:[\w.:[\]-]+)|(turns?:[\w.:[\]-]+(?:\?transport=(?:udp|tcp))?)\s+([^\s"\\]+)\s+([^\s"\\]+))$/;

export const iceServers = listOf(
  (part) => iceServer.test(part),
  'stun:HOST:PORT and turn:HOST:PORT USERNAME PASSWORD',
).transform((parts) =>
  parts.map((part) => {
    const [, stun, turn, username, credential] = iceServer.exec(part)!;
    return stun ? { url: stun } : { url: turn!, username: username!, credential: credential! };
  }),
);

/** The largest side that VP8 can express. */
const MAX_FRAME_SIDE = 16_383;
const MIN_FRAME_SIDE = 16;
/** `WIDTHxHEIGHT`, in pixels. */
export const frameSize = z.string().transform((text, context) => {
  const [, width = 0, height = 0] = (/^(\d{2,5})x(\d{2,5})$/.exec(text) ?? []).map(Number);
  if (width >= MIN_FRAME_SIDE && width <= MAX_FRAME_SIDE && height >= MIN_FRAME_SIDE && height <= MAX_FRAME_SIDE)
    return { width, height };
  context.addIssue({
    code: 'custom',
    message: `must be WIDTHxHEIGHT in pixels, each from ${MIN_FRAME_SIDE} to ${MAX_FRAME_SIDE}`,
  });
  return z.NEVER;
});
