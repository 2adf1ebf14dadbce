import { pino, type DestinationStream, type Logger } from 'pino';
import type { Settings } from '../config/schema.ts';
import { prettyLine } from './pretty-log.ts';

export type { Logger } from 'pino';

/** Fields that may hold a stream key, a password or a session's secrets, whatever object they are in. */
const SECRET_FIELDS = [
  'rtmpUrl',
  'authToken',
  'token',
  'password',
  'authorization',
  'x-api-key',
  'apiKey',
  'sdp',
  'streamKey',
  'rest_api_key',
  'state_key',
];
/** Pino's redaction names paths, so each depth at which such fields are logged is spelt out. */
const SECRET_PATHS = SECRET_FIELDS.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]);

/** Runs over a log line in JSON: a backslash is part of the URL only where it escapes a quote or a backslash of it. */
const RTMP_URL = /(rtmps?:\/\/)(?:(?:[^\s"\\/@]|\\["\\])*@)?([^\s"\\/?]*)(\/[\w.~-]+)?((?:[^\s"\\]|\\["\\])*)/gi;

/**
 * Takes userinfo, query and all but the first path segment out of every RTMP URL in a text: the net under those texts that are
 * not ours, such as ffmpeg's messages.
 */
export function redactRtmpUrls(text: string): string {
  return text.replace(
    RTMP_URL,
    (_, scheme: string, host: string, application = '', rest: string) =>
      `${scheme}${host}${application}${rest ? '/***' : ''}`,
  );
}

/** Where a log goes other than to standard output; for tests. */
export interface LoggerOptions {
  readonly destination?: DestinationStream;
}

/** The gateway's log: one line per event on standard output, as JSON or for people to read, without secrets. */
export function createLogger(
  settings: Pick<Settings, 'log_level' | 'log_format'>,
  options: LoggerOptions = {},
): Logger {
  // Synchronous, so that the last words before an exit are written.
  const output = options.destination ?? standardOutput();
  const destination: DestinationStream =
    settings.log_format === 'json' ? output : { write: (line) => output.write(prettyLine(line)) };
  return pino(
    {
      level: settings.log_level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '***' },
      hooks: { streamWrite: (line) => (/rtmps?:\/\//i.test(line) ? redactRtmpUrls(line) : line) },
    },
    destination,
  );
}

/** Streams do not end because a disk is full, or a terminal has gone: what cannot be written is kept, and written when it can be. */
function standardOutput(): DestinationStream {
  return pino.destination({ fd: 1, sync: true }).on('error', () => {});
}

/** A logger that writes nothing; for tests and pure tools. */
export const silentLogger: Logger = pino({ level: 'silent' });
