import type { Amf0Object, Amf0Value } from '../media/amf0.ts';
import { EcmaArray } from '../media/amf0.ts';
import { RtmpError } from './rtmp-error.ts';
import type { RtmpErrorCode } from './rtmp-error.ts';
import type { Redact } from './server-words.ts';

interface Refusal {
  readonly error: RtmpErrorCode;
  /** A retry cannot help. */
  readonly final: boolean;
}

const final: Refusal = { error: 'refused', final: true };
const nameRefused: Refusal = { error: 'name-refused', final: true };
const passing: Refusal = { error: 'refused', final: false };

/**
 * Status codes with which servers end or refuse a publish, and whether they are final. Codes that are not listed are
 * retried: servers that are overloaded or restarting send codes of their own.
 */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  'NetConnection.Connect.InvalidApp': final,
  'NetConnection.Connect.Rejected': final,
  'NetStream.Publish.BadName': nameRefused,
  'NetStream.Publish.Denied': final,
  'NetStream.Record.NoAccess': final,
  'NetConnection.Connect.AppShutdown': passing,
  'NetConnection.Connect.Closed': passing,
  'NetConnection.Connect.Failed': passing,
  'NetConnection.Connect.IdleTimeOut': passing,
  'NetStream.Failed': passing,
  'NetStream.Publish.Failed': passing,
  'NetStream.Unpublish.Success': passing,
};

/** The status code for a publish that has begun. */
export const PUBLISH_STARTED = 'NetStream.Publish.Start';

/** The status code for the end of a publish, of this or of an earlier connection. */
const UNPUBLISHED = 'NetStream.Unpublish.Success';

/** The status code for a server's request to connect again, which does not end the publish. */
export const RECONNECT_REQUEST = 'NetConnection.Connect.ReconnectRequest';

/** The content of `_error` and `onStatus`. Fields may be missing or of another type. */
export interface ServerStatus {
  readonly level: string;
  readonly code: string;
  readonly description: string;
}

/** The first object of an answer that has a level, a code or a description. */
export function statusOf(values: readonly Amf0Value[]): ServerStatus {
  const text = (value: Amf0Value): string => (typeof value === 'string' ? value : '');
  for (const value of values) {
    const fields = value instanceof EcmaArray ? value.entries : value;
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields) || fields instanceof Date) continue;
    const { level, code, description } = fields as Amf0Object;
    if ([level, code, description].some((field) => typeof field === 'string'))
      return { level: text(level), code: text(code), description: text(description) };
  }
  return { level: '', code: '', description: '' };
}

/**
 * Codes that are not about the publish, whatever their level is: about players of the stream, calls (servers answer
 * `releaseStream` and `FCPublish` with them), shared objects, a recording by the server, and notices.
 */
const OTHER_MATTERS = [
  /^(NetStream\.(Play|Pause|Unpause|Seek|Step|Buffer|Data)|NetConnection\.Call|SharedObject)\./,
  /^NetStream\.Record\.(?!NoAccess$)/,
  /^NetStream\.Publish\.Idle$/,
];

/**
 * What an `onStatus` means for a publish: it ends, with an error or a code for the end; or it may have ended, and what
 * the server does next shows it. `NetStream.Unpublish.Success` is sent for an earlier connection as well.
 */
export function meaningOf({ level, code }: ServerStatus): 'end' | 'doubt' | undefined {
  if (code === RECONNECT_REQUEST || OTHER_MATTERS.some((pattern) => pattern.test(code))) return undefined;
  if (level === 'error') return 'end';
  if (!Object.hasOwn(REFUSALS, code)) return undefined;
  return code === UNPUBLISHED || level === 'warning' ? 'doubt' : 'end';
}

/** Whether an `onStatus` ends a publish for certain. */
export const endsPublish = (status: ServerStatus): boolean => meaningOf(status) === 'end';

/** The server's answer to `command` as an error. */
export function refusalOf(command: string, status: ServerStatus, redact: Redact): RtmpError {
  const known = Object.hasOwn(REFUSALS, status.code);
  const { error, final } = known ? REFUSALS[status.code]! : passing;
  // A code from the table is not a secret, even if a stream is called "stream".
  const words = [known ? status.code : redact(status.code), redact(status.description)]
    .filter((text) => text !== '')
    .join(': ');
  return new RtmpError(
    error,
    `The server refused ${command}${words ? `: ${words}` : ' without giving a reason'}`,
    final,
  );
}
