import type { types } from 'mediasoup';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';

/** Fragments of SDP that carry ICE alone: `application/trickle-ice-sdpfrag` (RFC 8840, 9). Pure. */

export interface IceCredentials {
  readonly usernameFragment: string;
  readonly password: string;
}

export interface IceFragment extends IceCredentials {
  /** The number of candidates. An ICE-lite server connects to none of them: the client connects to it. */
  readonly candidates: number;
}

/** A machine has some dozens of addresses at most, and a client that gathers again sends them again. */
const MAX_CANDIDATES = 200;

const iceText = (low: number) =>
  z
    .string()
    .regex(/^[A-Za-z0-9+/=_-]+$/)
    .min(low)
    .max(256);
/** RFC 8839, 5.4 asks for at least 4 and 22 characters. */
export const IceCredentialsSchema = z.object({
  usernameFragment: iceText(4),
  password: iceText(22),
}) satisfies z.ZodType<IceCredentials>;

// eslint-disable-next-line no-control-regex -- SDP has no control characters
const LINE = /^[a-z]=[^\u0000-\u001f\u007f]*$/;
/** RFC 8839, 5.1: foundation, component, transport, priority, address, port, type. The rest is ignored. */
const CANDIDATE = /^a=candidate:[A-Za-z0-9+/]{1,32} \d{1,3} \S{1,16} \d{1,10} \S{1,255} \d{1,5} typ \S{1,32}( .*)?$/;

/** @throws {GatewayError} INVALID_SDP that names the mistake */
export function parseIceFragment(text: string): IceFragment {
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line !== '');
  const malformed = lines.find(
    (line) => !LINE.test(line) || (line.startsWith('a=candidate:') && !CANDIDATE.test(line)),
  );
  if (malformed !== undefined) throw invalid('it has a malformed line');
  const candidates = lines.filter((line) => line.startsWith('a=candidate:')).length;
  if (candidates > MAX_CANDIDATES) throw invalid(`it has ${candidates} candidates, more than ${MAX_CANDIDATES}`);
  // With BUNDLE all sections have the same credentials.
  const value = (name: string): string | undefined => lines.find((line) => line.startsWith(name))?.slice(name.length);
  const credentials = IceCredentialsSchema.safeParse({
    usernameFragment: value('a=ice-ufrag:'),
    password: value('a=ice-pwd:'),
  });
  if (!credentials.success) throw invalid('a=ice-ufrag or a=ice-pwd is missing or malformed');
  return { ...credentials.data, candidates };
}

/** The answer to an ICE restart. The candidates are those of the SDP answer: the gateway's port stays the same. */
export function buildIceFragment({ usernameFragment, password }: types.IceParameters): string {
  return ['a=ice-lite', `a=ice-ufrag:${usernameFragment}`, `a=ice-pwd:${password}`, ''].join('\r\n');
}

const invalid = (what: string): GatewayError =>
  new GatewayError('INVALID_SDP', `The SDP fragment cannot be used: ${what}.`);
