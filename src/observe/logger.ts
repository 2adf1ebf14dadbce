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
  'rest_api_read_key',
  'metrics_key',
  'jwt_secret',
  'auth_url',
  'state_key',
  'webhook_secret',
  's3_secret_access_key',
  'secretAccessKey',
];
/** Pino's redaction works by path, so each depth at which such fields are logged is listed. */
const SECRET_PATHS = SECRET_FIELDS.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]);

/** Applied to a log line in JSON: a backslash is part of the URL only where it escapes a quote or a backslash. */
const RTMP_URL = /(rtmps?:\/\/)(?:(?:[^\s"\\/@]|\\["\\])*@)?([^\s"\\/?]*)(\/[\w.~-]+)?((?:[^\s"\\]|\\["\\])*)/gi;

/**
 * Removes userinfo, query and all but the first path segment from every RTMP URL in a text: a safety net for text from
 * elsewhere, such as ffmpeg's messages.
 */
export function redactRtmpUrls(text: string): string {
  return text.replace(
    RTMP_URL,
    (_, scheme: string, host: string, application = '', rest: string) =>
      `${scheme}${host}${application}${rest ? '/***' : ''}`,
  );
}

/** Where the log goes instead of standard output; for tests. */
export interface LoggerOptions {
  readonly destination?: DestinationStream;
}

/** The gateway's log: one line per event on standard output, as JSON or in a readable format, without secrets. */
export function createLogger(
  settings: Pick<Settings, 'log_level' | 'log_format'>,
  options: LoggerOptions = {},
): Logger {
  // Synchronous, so that the last lines before an exit are written.
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

/** A full disk or a closed terminal must not end streams: lines that cannot be written are kept and written later. */
function standardOutput(): DestinationStream {
  return pino.destination({ fd: 1, sync: true }).on('error', () => {});
}

/** A logger that writes nothing; for tests and pure tools. */
export const silentLogger: Logger = pino({ level: 'silent' });
