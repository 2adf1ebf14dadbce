import { inspect } from 'node:util';

/** Fields of a failure's diagnostics that repeat the stack or the report itself. */
const REDUNDANT = new Set(['at', 'typeName', 'tapCaught', 'found', 'wanted', 'source']);

/** One line for a file or a check: its outcome, its counts, its time. */
export function fileLine(name, { passed, failed }, milliseconds) {
  const counts = failed > 0 ? `${passed} ok, ${failed} not ok` : `${passed} ok`;
  return `${failed > 0 ? 'FAIL' : 'ok  '} ${name} (${counts}, ${(milliseconds / 1000).toFixed(1)} s)`;
}

/** A skipped test, with the reason if `skip` has one. */
export function skipLine({ fullname, name, skip }) {
  const what = fullname || name;
  return `  - not run: ${typeof skip === 'string' ? `${what}: ${skip}` : what}`;
}

/** A failing assertion in full: its name, what was expected, where. */
export function assertionReport({ fullname, name, diag }) {
  const lines = [`  ✗ ${fullname || name}`];
  const diagnostics = Object.entries(diag ?? {}).filter(
    ([key]) => !REDUNDANT.has(key) || (key === 'source' && !diag.stack),
  );
  // The two values are shown if there is no diff.
  if (diag && !('diff' in diag)) {
    for (const key of ['found', 'wanted']) if (key in diag) diagnostics.push([key, diag[key]]);
  }
  if (diag?.at && !diag.stack) diagnostics.push(['at', `${diag.at.fileName}:${diag.at.lineNumber}`]);
  for (const [key, value] of diagnostics) {
    const text = typeof value === 'string' ? value.trimEnd() : inspect(value, { depth: 5, breakLength: 120 });
    lines.push(
      ...(text.includes('\n') ? [`${key}:`, ...indent(text.split('\n'), 2)] : [`${key}: ${text}`]).map(
        (line) => `      ${line}`,
      ),
    );
  }
  return lines.join('\n');
}

/** The last lines that a failing file has printed besides its results. */
export function outputReport(text, lines = 60) {
  const all = text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '');
  if (all.length === 0) return [];
  const cut = all.length > lines ? [`(${all.length - lines} earlier lines)`] : [];
  return ['  its output:', ...[...cut, ...all.slice(-lines)].map((line) => `    | ${line}`)];
}

function indent(lines, by) {
  return lines.map((line) => ' '.repeat(by) + line);
}
