import { GatewayError } from '../errors.ts';

const MAX_LOGIN_LENGTH = 64;
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** @throws {GatewayError} INVALID_REQUEST */
export function checkLogin(login: string): void {
  if (login.length < 1 || login.length > MAX_LOGIN_LENGTH || CONTROL_CHARACTER.test(login))
    throw new GatewayError(
      'INVALID_REQUEST',
      `The login must have 1 to ${MAX_LOGIN_LENGTH} characters and no control characters.`,
    );
  // The Web SDK uses logins as keys of an object: this one would break the pages of all other members.
  if (login === '__proto__') throw new GatewayError('INVALID_REQUEST', 'The login must not be __proto__.');
}
