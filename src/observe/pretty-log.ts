const LEVELS: Readonly<Record<string, string>> = {
  trace: 'TRACE',
  debug: 'DEBUG',
  info: 'INFO ',
  warn: 'WARN ',
  error: 'ERROR',
  fatal: 'FATAL',
};

/** One of pino's JSON lines for people: time of day, level, message, then the fields as `name=value`; a stack below. */
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

// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/g;
/** Text from outside must not forge log lines. */
const oneLine = (text: string): string =>
  text.replace(CONTROL_CHARACTERS, (character) => JSON.stringify(character).slice(1, -1));
const quoteIfNeeded = (text: string): string => (/^[^\s"=\u007f]+$/.test(text) ? text : JSON.stringify(text));
