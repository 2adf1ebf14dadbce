import { escapeInvisible } from './visible-text.ts';

const LEVELS: Readonly<Record<string, string>> = {
  trace: 'TRACE',
  debug: 'DEBUG',
  info: 'INFO ',
  warn: 'WARN ',
  error: 'ERROR',
  fatal: 'FATAL',
};

/**
 * Formats a JSON line of pino for people: time of day, level, message, then the fields as `name=value`, and a stack
 * below. Text from outside cannot forge lines.
 */
export function prettyLine(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const parts = [String(time).slice(11, 23), LEVELS[String(level)] ?? String(level)];
  if (msg !== undefined) parts.push(oneLine(String(msg)));
  for (const [name, value] of Object.entries(fields))
    parts.push(`${name}=${typeof value === 'string' ? quoteIfNeeded(value) : JSON.stringify(value)}`);
  const { message, stack } = (err ?? {}) as { message?: string; stack?: string };
  if (message !== undefined && message !== msg) parts.push(`error=${quoteIfNeeded(message)}`);
  const trace = stack && (level === 'error' || level === 'fatal') ? `\n${stack.replace(/^/gm, '    ')}` : '';
  return `${parts.join(' ')}${trace}\n`;
}

/** Line ends as JSON writes them, other invisible characters as `\u{202e}`. */
const oneLine = (text: string): string =>
  escapeInvisible(text.replace(/[\n\r\t]/g, (end) => JSON.stringify(end).slice(1, -1)));
const quoteIfNeeded = (text: string): string =>
  escapeInvisible(/^[^\s"=\u007f]+$/.test(text) ? text : JSON.stringify(text));
