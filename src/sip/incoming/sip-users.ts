import { readFileSync } from 'node:fs';
import { GatewayError } from '../../errors.ts';
import { Secret } from '../../net/secret.ts';

const MAX_USERS = 100_000;
const USER = /^[^\s"<>@:;\\]{1,128}$/;

/**
 * Reads the passwords of telephones: `user:password` in each line. Empty lines and lines that begin with `#` are left
 * out.
 *
 * @throws {GatewayError} SETTINGS_INVALID
 */
export function readSipUsers(file: string): ReadonlyMap<string, Secret> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw invalid(`the file ${file} cannot be read (${code ?? message}).`);
  }
  const users = new Map<string, Secret>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const user = line.slice(0, Math.max(0, colon));
    const password = line.slice(colon + 1);
    // The line itself is not shown: it has a password.
    if (!USER.test(user) || password === '') throw invalid(`line ${index + 1} of ${file} is not user:password.`);
    if (users.has(user)) throw invalid(`line ${index + 1} of ${file} names a user that has a line already.`);
    if (users.size >= MAX_USERS) throw invalid(`${file} has more than ${MAX_USERS} users.`);
    users.set(user, new Secret(password));
  }
  if (users.size === 0) throw invalid(`${file} has no users: write user:password in each line.`);
  return users;
}

const invalid = (problem: string): GatewayError => new GatewayError('SETTINGS_INVALID', `sip_users: ${problem}`);
