/** Tables for people; programs ask for --json. */

const write = (text) => process.stdout.write(`${text}\n`);

/** @param {boolean | undefined} json @param {any} data @param {() => string | undefined} text */
export function print(json, data, text) {
  if (json) write(JSON.stringify(data ?? null, null, 2));
  else write(text() ?? '');
}

/**
 * @param {readonly any[]} rows
 * @param {Record<string, (row: any) => unknown>} columns
 * @param {string} none what an empty list is called
 */
export function table(rows, columns, none) {
  if (rows.length === 0) return `No ${none}.`;
  const cells = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((read) => show(read(row))))];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Control characters in names must not reach the terminal. */
const show = (value) =>
  value === undefined || value === null || value === ''
    ? '-'
    : // eslint-disable-next-line no-control-regex
      String(value).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');

export const kilobits = (value) => (value ? `${Math.round(value)} kbit/s` : '');
export const megabytes = (bytes) => (bytes === undefined ? '' : `${(bytes / 1e6).toFixed(1)} MB`);
export const since = (time) => {
  if (!time) return '';
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
};
